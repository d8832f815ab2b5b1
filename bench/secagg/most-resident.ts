import { readFileSync } from 'node:fs';

/**
 * Most memory that this process ever held, in bytes. Linux's ru_maxrss begins with the parent's size at the fork; VmHWM
 * begins with the program.
 */
export function mostResident(): number {
  try {
    const kibi = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kibi !== undefined) return Number(kibi) * 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}
