/** One measured line of `npm run bench`. */
export interface BenchRow {
  readonly bench: string;
  readonly row: string;
  readonly value: number;
  readonly unit: string;
  /** What the value is compared with, in the same unit; null when there is nothing. */
  readonly baseline: number | null;
  readonly ratio: number | null;
  /** In words, e.g. `>= 94`. */
  readonly target: string | null;
  readonly holds: boolean | null;
}

/** A row whose target is a least value. */
export function atLeast(
  bench: string,
  row: string,
  value: number,
  unit: string,
  least: number | null,
  baseline: number | null = null,
): BenchRow {
  return {
    bench,
    row,
    value,
    unit,
    baseline,
    ratio: baseline === null ? null : value / baseline,
    target: least === null ? null : `>= ${least}`,
    holds: least === null ? null : value >= least,
  };
}
