import { readdirSync, readFileSync } from 'node:fs';

/** Processor seconds of a process and of all that came out of it and still runs, in Linux' hundredths; NaN elsewhere. */
export function treeSeconds(root: number): number {
  const processes = new Map<number, { readonly parent: number; readonly ticks: number }>();
  try {
    for (const name of readdirSync('/proc')) if (/^\d+$/.test(name)) readInto(processes, Number(name));
  } catch {
    return Number.NaN;
  }
  const inTree = (id: number | undefined): boolean =>
    id === root || (id !== undefined && inTree(processes.get(id)?.parent));
  let ticks = 0;
  for (const [id, process] of processes) if (inTree(id)) ticks += process.ticks;
  return ticks / 100;
}

/** Fields of proc_pid_stat(5) after the name, which may hold anything: the parent is the 4th, user and system time the 14th and 15th. */
function readInto(processes: Map<number, { parent: number; ticks: number }>, id: number): void {
  try {
    const text = readFileSync(`/proc/${id}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    processes.set(id, { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) });
  } catch {
    // It has ended.
  }
}
