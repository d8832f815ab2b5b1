import type { DataReport } from '../text/report.ts';

/** What was read of somebody's data, for a terminal: counts and places, never a text. */
export function reportLines({ read, kept, dropped, labels, lengths }: DataReport): string[] {
  const shares = Object.entries(labels).map(([label, count]) => `${label} ${count}`);
  return [
    `data       ${kept} of ${read} records kept${shares.length === 0 ? '' : ` (${shares.join(', ')})`}, ${lengths.median} characters in the middle, at most ${lengths.max}`,
    ...dropped.map(({ reason, count, examples }) => {
      const places = examples.slice(0, 3).map((e) => `${e.source}:${e.line}`);
      return `dropped    ${count} ${reason}, e.g. ${places.join(', ')}`;
    }),
  ];
}
