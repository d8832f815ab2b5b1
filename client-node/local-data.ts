import type { Terminal } from '../shared/node/command-line.ts';
import { readDataFiles } from '../shared/node/data-files.ts';
import { reportLines } from '../shared/node/data-report.ts';
import type { Plan } from '../shared/protocol/plan.ts';
import { recordColumns } from '../shared/protocol/plan-columns.ts';
import type { TextRecord } from '../shared/text/record.ts';

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
