import { availableParallelism, loadavg } from 'node:os';
import type { BenchRow } from '../row.ts';

/** A row whose target is a greatest value of `measured`. */
export function atMost(
  row: string,
  value: number,
  unit: string,
  most: number | null,
  baseline: number | null = null,
  measured: 'value' | 'ratio' = 'value',
): BenchRow {
  const ratio = baseline === null ? null : value / baseline;
  const compared = measured === 'ratio' ? (ratio as number) : value;
  const target = most === null ? null : `${measured} <= ${most}`;
  return { bench: 'secagg', row, value, unit, baseline, ratio, target, holds: most === null ? null : compared <= most };
}

/** Processor time of all threads, which other processes change less than the clock, and the time on the wall. */
export interface Spent {
  readonly cpu: number;
  readonly wall: number;
}

/** In seconds. */
export async function spent(work: () => unknown): Promise<Spent> {
  const before = process.cpuUsage();
  const start = performance.now();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { cpu: (user + system) / 1e6, wall: (performance.now() - start) / 1000 };
}

/** The least of several times. */
export async function leastSpent(times: number, work: () => unknown): Promise<Spent> {
  let least: Spent = { cpu: Number.POSITIVE_INFINITY, wall: Number.POSITIVE_INFINITY };
  for (let i = 0; i < times; i++) {
    const { cpu, wall } = await spent(work);
    least = { cpu: Math.min(least.cpu, cpu), wall: Math.min(least.wall, wall) };
  }
  return least;
}

/** What else the machine does: a time means little without it. */
export function loadRow(): BenchRow {
  const row = `load average of the last minute, ${availableParallelism()} processors, Node ${process.versions.node}`;
  return atMost(row, loadavg()[0] as number, '', null);
}
