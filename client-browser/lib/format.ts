/** Numbers in words that a person reads once and understands. English; the decimal point is a point on every device. */

const count = new Intl.NumberFormat('en-GB');
const time = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

/** `12,345` */
export function formatCount(n: number): string {
  return count.format(n);
}

/** `1 record`, `2 records`. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${formatCount(n)} ${n === 1 ? one : many}`;
}

/** `512 bytes`, `1.2 MB` (powers of 1000, as file managers count). */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${formatCount(Math.round(bytes))} bytes`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1000;
    unit++;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** `under a second`, `42 seconds`, `about 4 minutes`, `about 2.5 hours`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return 'unknown';
  if (seconds < 1) return 'under a second';
  if (seconds < 90) return plural(Math.round(seconds), 'second');
  if (seconds < 5400) return `about ${plural(Math.round(seconds / 60), 'minute')}`;
  return `about ${(seconds / 3600).toFixed(1)} hours`;
}

/** `0.41 s` for tables of measured times. */
export function formatSeconds(seconds: number | undefined): string {
  return seconds === undefined ? '–' : `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
}

/** ε with two decimals, rounded up: a privacy loss is never shown smaller than it is. */
export function formatEpsilon(epsilon: number): string {
  return (Math.ceil(epsilon * 100 - 1e-6) / 100).toFixed(2);
}

/** `1e-5`, with a true minus sign left to the reader's screen reader: `1e-5`. */
export function formatDelta(delta: number): string {
  return delta === 0
    ? '0'
    : delta
        .toExponential()
        .replace(/e([-+])0*/, 'e$1')
        .replace('e+', 'e');
}

/** `93.9 %`, or a dash when there is none. */
export function formatPercent(share: number | null | undefined): string {
  return share === null || share === undefined ? '–' : `${(100 * share).toFixed(1)} %`;
}

/** `14:03:09` on this device's clock. */
export function formatTime(iso: string): string {
  return time.format(new Date(iso));
}

/** `24 Nov 2026, 18:04` on this device's clock. */
export function formatDate(iso: string): string {
  return date.format(new Date(iso));
}

/** Hexadecimal in pairs, for looking at bytes: `4f 1c 9a`. */
export function formatHex(hex: string): string {
  return hex.replace(/\s/g, '').replace(/(..)(?=.)/g, '$1 ');
}

/** A clause of another module as a sentence: `right at most 92 times` → `Right at most 92 times.` */
export function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?)]$/.test(capital) ? capital : `${capital}.`;
}
