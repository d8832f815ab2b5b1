import { parse } from 'csv-parse/browser/esm/sync';
import { TacitError } from '../../shared/core/errors.ts';
import { cleanMail } from '../../shared/text/clean.ts';
import { csvRows } from '../../shared/text/csv.ts';
import type { TextErrorCode } from '../../shared/text/errors.ts';
import { jsonlRows } from '../../shared/text/jsonl.ts';
import { parseMail } from '../../shared/text/mail.ts';
import {
  collectRecords,
  type ParsedRecords,
  type RecordColumns,
  type Row,
  requireRecords,
} from '../../shared/text/records.ts';
import { textRow, textRows } from '../../shared/text/text-rows.ts';
import type { DroppedFile } from './messages.ts';

const TABLE = /\.(csv|tsv|jsonl|ndjson)$/i;
const TEXT = /\.(txt|eml)$/i;
/** A browser holds a file and its texts in memory at once. */
const MAX_BYTES = 1 << 30;

/**
 * Records of dropped files, read as the Node client reads a folder: tables row by row, `.txt` and `.eml` files one
 * record each, labelled by the folder they lie in.
 * @throws DATA_FORMAT, DATA_COLUMNS, DATA_EMPTY, DATA_LABELS, DATA_TOO_LARGE
 */
export async function readFiles(files: readonly DroppedFile[], columns: RecordColumns): Promise<ParsedRecords> {
  const usable = [...files]
    .filter((f) => TABLE.test(f.path) || TEXT.test(f.path))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  if (usable.length === 0) {
    throw new TacitError<TextErrorCode>('DATA_FORMAT', 'none of these files is read as data', {
      fix:
        columns.label === undefined
          ? 'Choose .csv, .tsv, .jsonl, .txt or .eml files, or a folder of them.'
          : 'Choose .csv, .tsv or .jsonl files, or a folder of .txt or .eml files in subfolders named by label.',
    });
  }
  if (usable.reduce((n, f) => n + f.blob.size, 0) > MAX_BYTES) {
    throw new TacitError<TextErrorCode>('DATA_TOO_LARGE', 'the files are larger than 1 GiB together', {
      fix: 'Choose fewer, or use the command-line client: tacit client.',
    });
  }
  const rows: Row[] = [];
  for (const file of usable) {
    for await (const row of rowsOf(file, columns)) rows.push({ ...row, source: file.path });
  }
  const where = usable.length === 1 ? (usable[0] as DroppedFile).path : `${usable.length} files`;
  return requireRecords(collectRecords(rows, { ...columns, source: where }), { ...columns, source: where });
}

async function* rowsOf(file: DroppedFile, columns: RecordColumns): AsyncGenerator<Row> {
  const bytes = new Uint8Array(await file.blob.arrayBuffer());
  const named = { ...columns, source: file.path };
  if (/\.(csv|tsv)$/i.test(file.path)) yield* csvRows(bytes, named);
  else if (TABLE.test(file.path)) yield* jsonlRows(bytes, named);
  else yield* await textFileRows(file, bytes, columns);
}

async function textFileRows(file: DroppedFile, bytes: Uint8Array, columns: RecordColumns): Promise<Row[]> {
  const label = file.path.split('/').at(-2) ?? '';
  if (/\.txt$/i.test(file.path)) return textRows(bytes, label, columns);
  const mail = await parseMail(bytes).catch(() => undefined);
  if (mail === undefined) return [{ line: 1, dropped: 'unreadable' }];
  return [textRow(cleanMail(mail.subject, mail.body), label, columns)];
}

/** Longest header that is looked at. */
const HEADER_BYTES = 1 << 16;

/** The columns of the first table among the files, for asking which is which; empty when there is none. */
export async function columnsFound(files: readonly DroppedFile[]): Promise<readonly string[]> {
  const table = files.find((f) => TABLE.test(f.path));
  if (table === undefined) return [];
  const head = await table.blob.slice(0, HEADER_BYTES).text();
  const line = head.replace(/^\ufeff/, '').split(/\r?\n/, 1)[0] ?? '';
  try {
    if (/\.(jsonl|ndjson)$/i.test(table.path)) return Object.keys(JSON.parse(line) as object);
    const [cells] = parse(line, { delimiter: [',', ';', '\t'], relax_quotes: true }) as string[][];
    return (cells ?? []).map((c) => c.trim()).filter((c) => c !== '');
  } catch {
    return [];
  }
}
