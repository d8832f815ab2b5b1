/** `[round 3/20] cohort     ` — every progress line begins like this, so that columns stand below each other. */
export function roundTag(round: number, rounds: number, what: string): string {
  return `[round ${round}/${rounds}] ${what.padEnd(10)}`;
}

/** `4f1c..9a` */
export function shortHash(hex: string): string {
  return `${hex.slice(0, 4)}..${hex.slice(-2)}`;
}

/** Decimal units: 950 B, 12.3 kB, 4.19 MB. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = -1;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toPrecision(3)} ${units[unit]}`;
}

/** 850 ms, 12.3 s, 2 min 5 s. */
export function formatSeconds(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 100) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** 1e-5 as people write it. */
export function formatDelta(delta: number): string {
  return delta.toExponential().replace('e-0', 'e-').replace('e+', 'e');
}

/** Rows as aligned columns; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((r) => (r[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  const [head = [], ...body] = rows;
  return [line(head), widths.map((w) => '-'.repeat(w)).join('  '), ...body.map(line)];
}

/** `[#######···········]` */
export function bar(fraction: number, width = 24): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * width);
  return `[${'#'.repeat(full)}${'·'.repeat(width - full)}]`;
}

/** `masked accuracy` for the metric `maskedAccuracy`. */
export function metricInWords(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
