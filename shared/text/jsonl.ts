import { type RecordColumns, type Row, requireColumns } from './columns.ts';
import { lines } from './lines.ts';
import type { TextRecord } from './record.ts';

/** Rows of a JSONL file. Blank lines are no rows. @throws DATA_COLUMNS when the first object lacks the named keys */
export function* jsonlRows(bytes: Uint8Array, columns: RecordColumns): Generator<Row> {
  let checked = false;
  for (const line of lines(bytes)) {
    if (line.dropped !== undefined) {
      yield { line: line.number, dropped: line.dropped };
      continue;
    }
    if (line.text.trim() === '') continue;
    const values = parseObject(line.text);
    if (values === undefined) {
      yield { line: line.number, dropped: 'bad-row' };
      continue;
    }
    if (!checked) requireColumns([...values.keys()], columns);
    checked = true;
    yield { line: line.number, values };
  }
}

function parseObject(text: string): Map<string, string> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return new Map(
    Object.entries(value).map(([key, v]) => [key, Array.isArray(v) ? v.map(textOf).join(';') : textOf(v)]),
  );
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** JSONL of records with the keys `text`, `label` and, where there is one, `person`. */
export function jsonlOf(records: Iterable<TextRecord>): string {
  let out = '';
  for (const { text, label, person } of records) out += `${JSON.stringify({ text, label, person })}\n`;
  return out;
}
