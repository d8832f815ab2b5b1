import type { Terminal } from './command-line.ts';

/** One thing that a machine can or cannot do, and what to do about it. */
export interface Finding {
  readonly what: string;
  /** `missing` is optional; `bad` keeps Tacit from working. */
  readonly state: 'good' | 'missing' | 'bad';
  readonly detail: string;
  readonly fix?: string;
}

export function showFinding(finding: Finding, terminal: Terminal): void {
  terminal.emit(finding);
  const mark = { good: 'ok     ', missing: 'missing', bad: 'BAD    ' }[finding.state];
  terminal.say(
    `${mark}  ${finding.what.padEnd(18)} ${finding.detail}${finding.fix === undefined ? '' : ` ${finding.fix}`}`,
  );
}
