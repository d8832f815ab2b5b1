import type { Terminal } from '../shared/node/command-line.ts';
import { readDataFiles } from '../shared/node/data-files.ts';
import type { Plan } from '../shared/protocol/plan.ts';
import { recordColumns } from '../shared/protocol/plan-columns.ts';
import type { TextRecord } from '../shared/text/record.ts';
import type { DataReport } from '../shared/text/report.ts';

/**
 * The site's own records by the columns and labels of the plan, and a report of what was kept and dropped.
 * @throws DATA_UNREADABLE, DATA_COLUMNS, DATA_EMPTY, DATA_LABELS, …; nothing was agreed to then
 */
export async function readLocalData(path: string, plan: Plan, terminal: Terminal): Promise<readonly TextRecord[]> {
  const { records, report } = await readDataFiles(path, recordColumns(plan));
  terminal.emit({ event: 'data', report });
  for (const line of reportLines(report)) terminal.say(line);
  return records;
}

function reportLines({ read, kept, dropped, labels, lengths }: DataReport): string[] {
  const shares = Object.entries(labels).map(([label, count]) => `${label} ${count}`);
  return [
    `data       ${kept} of ${read} records kept (${shares.join(', ')}), ${lengths.median} characters in the middle, at most ${lengths.max}`,
    ...dropped.map(({ reason, count, examples }) => {
      const places = examples.slice(0, 3).map((e) => `${e.source}:${e.line}`);
      return `dropped    ${count} ${reason}, e.g. ${places.join(', ')}`;
    }),
  ];
}
