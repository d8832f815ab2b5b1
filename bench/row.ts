/** One measured line of `npm run bench`. */
export interface BenchRow {
  readonly bench: string;
  readonly row: string;
  /** Null where nothing could be measured; `note` says why. */
  readonly value: number | null;
  readonly unit: string;
  /** What the value is compared with, in the same unit; null when there is nothing. */
  readonly baseline: number | null;
  readonly ratio: number | null;
  /** In words, e.g. `>= 94`. */
  readonly target: string | null;
  readonly holds: boolean | null;
  readonly note?: string;
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

/** A row whose target is a greatest value: of the ratio where there is a baseline, else of the value itself. */
export function atMost(
  bench: string,
  row: string,
  measured: { readonly value: number; readonly unit: string; readonly baseline?: number; readonly note?: string },
  most: number | null,
): BenchRow {
  const { value, unit, baseline = null, note } = measured;
  const ratio = baseline === null ? null : value / baseline;
  return {
    bench,
    row,
    value,
    unit,
    baseline,
    ratio,
    target: most === null ? null : `${ratio === null ? 'value' : 'ratio'} <= ${most}`,
    holds: most === null ? null : (ratio ?? value) <= most,
    ...(note === undefined ? {} : { note }),
  };
}

/** A row that could not be measured. */
export function absent(bench: string, row: string, note: string): BenchRow {
  return { bench, row, value: null, unit: '', baseline: null, ratio: null, target: null, holds: null, note };
}
