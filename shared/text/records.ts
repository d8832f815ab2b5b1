import { TacitError } from '../core/errors.ts';
import { LIMITS } from '../core/limits.ts';
import type { RecordColumns, Row, TextTask } from './columns.ts';
import { csvRows } from './csv.ts';
import type { TextErrorCode } from './errors.ts';
import { jsonlRows } from './jsonl.ts';
import type { TextRecord } from './record.ts';
import { type DataReport, ReportBuilder } from './report.ts';

export type { RecordColumns, Row, TextTask };

export interface ParsedRecords {
  readonly records: TextRecord[];
  readonly report: DataReport;
}

/**
 * Records of a CSV file (RFC 4180; delimiter comma, semicolon or tab, found from the header line; BOM allowed).
 * @throws DATA_COLUMNS, DATA_FORMAT, DATA_EMPTY, DATA_LABELS, DATA_TOO_LARGE
 */
export function parseCsv(bytes: Uint8Array, columns: RecordColumns): ParsedRecords {
  return requireRecords(collectRecords(csvRows(bytes, columns), columns), columns);
}

/**
 * Records of a JSONL file: one object a line; numbers and booleans as labels are read as their text.
 * @throws DATA_COLUMNS, DATA_EMPTY, DATA_LABELS, DATA_TOO_LARGE
 */
export function parseJsonl(bytes: Uint8Array, columns: RecordColumns): ParsedRecords {
  return requireRecords(collectRecords(jsonlRows(bytes, columns), columns), columns);
}

/** Rows of one or several files → records. Keeps nothing back: whatever is not a record is in the report. @throws DATA_TOO_LARGE */
export function collectRecords(rows: Iterable<Row>, columns: RecordColumns): ParsedRecords {
  const report = new ReportBuilder();
  const records: TextRecord[] = [];
  for (const row of rows) {
    const source = row.source ?? columns.source ?? 'data';
    if ('dropped' in row) {
      report.drop(row.dropped, source, row.line);
      continue;
    }
    const record = toRecord(row.values, row.line, source, columns);
    if (typeof record === 'string') report.drop(record, source, row.line);
    else {
      if (records.length >= LIMITS.records) {
        throw new TacitError<TextErrorCode>('DATA_TOO_LARGE', `more than ${LIMITS.records} records`, { where: source });
      }
      records.push(record);
      report.keep(record, countedLabels(record, columns));
    }
  }
  return { records, report: report.finish() };
}

/** The labels under which a record is counted in the report; a number is no label. */
function countedLabels(
  { label, values }: TextRecord,
  { task, labels, label: column }: RecordColumns,
): readonly string[] {
  if (task === 'regression' || column === undefined) return [];
  if (task === 'multi-label' && labels !== 'any') return labels.filter((_, i) => values?.[i] === 1);
  return [label];
}

function toRecord(
  values: ReadonlyMap<string, string>,
  line: number,
  source: string,
  columns: RecordColumns,
): TextRecord | 'empty-text' | 'unknown-label' | 'no-person' | 'too-long' {
  const names = typeof columns.text === 'string' ? [columns.text] : columns.text;
  const text = names
    .map((n) => (values.get(n) ?? '').trim())
    .filter((t) => t !== '')
    .join('\n');
  if (text === '') return 'empty-text';
  if (text.length > LIMITS.recordBytes) return 'too-long';
  const target =
    columns.label === undefined ? { label: '' } : targetOf((values.get(columns.label) ?? '').trim(), columns);
  if (target === undefined) return 'unknown-label';
  const record = { id: `${source}:${line}`, text, ...target };
  if (columns.person === undefined) return record;
  const person = (values.get(columns.person) ?? '').trim();
  return person === '' ? 'no-person' : { ...record, person };
}

/** What the label column says, or undefined when the plan does not know it. */
function targetOf(written: string, columns: RecordColumns): Pick<TextRecord, 'label' | 'values'> | undefined {
  const { labels, labelValues, task = 'classification' } = columns;
  const named = (value: string): string =>
    labelValues !== undefined && Object.hasOwn(labelValues, value) ? (labelValues[value] as string) : value;
  if (task === 'regression') {
    const value = written === '' ? Number.NaN : Number(written);
    return Number.isFinite(value) ? { label: written, values: [value] } : undefined;
  }
  if (task === 'classification') {
    const label = named(written);
    return (labels === 'any' ? label !== '' : labels.includes(label)) ? { label } : undefined;
  }
  const own = new Set(labelParts(written).map(named));
  if (labels === 'any') return { label: [...own].join(';') };
  if (![...own].every((label) => labels.includes(label))) return undefined;
  return { label: written, values: labels.map((label) => (own.has(label) ? 1 : 0)) };
}

/** The labels of a multi-label record. */
export function labelParts(written: string): string[] {
  return written
    .split(/[;|]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Refuses a reading that kept nothing, with the reason that took most. @throws DATA_EMPTY, DATA_LABELS */
export function requireRecords(parsed: ParsedRecords, columns: RecordColumns): ParsedRecords {
  if (parsed.records.length > 0) return parsed;
  const where = columns.source ?? 'data';
  const most = parsed.report.dropped.reduce<DataReport['dropped'][number] | undefined>(
    (a, b) => (a === undefined || b.count > a.count ? b : a),
    undefined,
  );
  if (most?.reason === 'unknown-label') {
    throw new TacitError<TextErrorCode>(
      'DATA_LABELS',
      `none of ${most.count} record(s) has a label of the plan: ${[columns.labels].flat().join(', ')}`,
      {
        where,
        fix: 'Check which column is the label, and that its values are spelled as in the plan.',
      },
    );
  }
  const reasons = parsed.report.dropped.map((d) => `${d.count} ${d.reason}`).join(', ');
  throw new TacitError<TextErrorCode>(
    'DATA_EMPTY',
    reasons === '' ? 'there is no record' : `no record is left: ${reasons}`,
    {
      where,
      fix: `Give a file with at least one ${columns.label === undefined ? '' : 'labelled '}text.`,
    },
  );
}
