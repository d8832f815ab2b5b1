import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, extname, join, relative, sep } from 'node:path';
import { TacitError } from '../core/errors.ts';
import { cleanMail } from '../text/clean.ts';
import { csvRows } from '../text/csv.ts';
import type { TextErrorCode } from '../text/errors.ts';
import { jsonlRows } from '../text/jsonl.ts';
import { parseMail } from '../text/mail.ts';
import { collectRecords, type ParsedRecords, type RecordColumns, type Row, requireRecords } from '../text/records.ts';
import { textRow, textRows } from '../text/text-rows.ts';

const TABLES = new Set(['.csv', '.tsv', '.jsonl', '.ndjson']);
const TEXTS = new Set(['.txt', '.eml']);
/** No file of this size is read into memory. */
const MAX_FILE_BYTES = 2 ** 31;
const MAX_FILES = 1_000_000;

/**
 * Records of a file (CSV, TSV, JSONL) or of a folder. A folder's tables are read one after the other; its `.txt` and
 * `.eml` files are one record each, labelled by the name of the folder they lie in (`inbox/spam/17.eml`). Where the columns
 * have no label, a text file may be given alone, and be divided (textRows).
 * @throws DATA_UNREADABLE, DATA_FORMAT, DATA_COLUMNS, DATA_EMPTY, DATA_LABELS, DATA_TOO_LARGE
 */
export async function readDataFiles(path: string, columns: Omit<RecordColumns, 'source'>): Promise<ParsedRecords> {
  const files = filesUnder(path, columns);
  const rows: Row[] = [];
  for (const file of files) {
    const source = file === path ? basename(path) : relative(path, file).split(sep).join('/');
    const extension = extname(file).toLowerCase();
    if (TEXTS.has(extension))
      for (const row of await textFileRows(file, source, extension, columns)) rows.push({ ...row, source });
    else for (const row of tableRows(file, extension, { ...columns, source })) rows.push({ ...row, source });
  }
  return requireRecords(collectRecords(rows, { ...columns, source: path }), { ...columns, source: path });
}

function* tableRows(file: string, extension: string, columns: RecordColumns): Generator<Row> {
  const bytes = readBytes(file);
  yield* extension === '.csv' || extension === '.tsv' ? csvRows(bytes, columns) : jsonlRows(bytes, columns);
}

async function textFileRows(
  file: string,
  source: string,
  extension: string,
  columns: Omit<RecordColumns, 'source'>,
): Promise<Row[]> {
  const label = source.split('/').at(-2) ?? '';
  const bytes = readBytes(file);
  if (extension !== '.eml') return textRows(bytes, label, columns);
  const mail = await parseMail(bytes).catch(() => undefined);
  if (mail === undefined) return [{ line: 1, dropped: 'unreadable' }];
  return [textRow(cleanMail(mail.subject, mail.body), label, columns)];
}

/** The file itself, or the folder's readable kinds of files in a fixed order. */
function filesUnder(path: string, { label }: Pick<RecordColumns, 'label'>): string[] {
  if (!statOf(path).isDirectory()) {
    const extension = extname(path).toLowerCase();
    // A text alone has no folder to be labelled by.
    if (TABLES.has(extension) || (label === undefined && TEXTS.has(extension))) return [path];
    throw new TacitError<TextErrorCode>('DATA_FORMAT', `a file ending in "${extname(path)}" is not read as data`, {
      where: path,
      fix:
        label === undefined
          ? 'Give a .csv, .tsv, .jsonl, .txt or .eml file, or a folder of them.'
          : 'Give a .csv, .tsv or .jsonl file, or a folder of them or of .txt and .eml files in folders named by label.',
    });
  }
  const found: string[] = [];
  const walk = (directory: string, depth: number): void => {
    for (const entry of entriesOf(directory)) {
      const full = join(directory, entry.name);
      if (entry.isDirectory() && depth < 8) walk(full, depth + 1);
      else if (
        entry.isFile() &&
        (TABLES.has(extname(entry.name).toLowerCase()) || TEXTS.has(extname(entry.name).toLowerCase()))
      )
        found.push(full);
      if (found.length > MAX_FILES)
        throw new TacitError<TextErrorCode>('DATA_TOO_LARGE', `more than ${MAX_FILES} files`, { where: path });
    }
  };
  walk(path, 0);
  if (found.length > 0) return found;
  throw new TacitError<TextErrorCode>('DATA_EMPTY', 'the folder holds no .csv, .tsv, .jsonl, .txt or .eml file', {
    where: path,
    fix: 'Give the folder that holds the data.',
  });
}

function entriesOf(directory: string) {
  try {
    return readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (cause) {
    throw unreadable(directory, cause);
  }
}

function statOf(path: string) {
  try {
    return statSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function readBytes(file: string): Uint8Array {
  if (statOf(file).size > MAX_FILE_BYTES) {
    throw new TacitError<TextErrorCode>('DATA_TOO_LARGE', 'the file is larger than 2 GiB', {
      where: file,
      fix: 'Split it into several files in one folder.',
    });
  }
  try {
    return readFileSync(file);
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function unreadable(path: string, cause: unknown): TacitError {
  const code = (cause as { code?: string }).code;
  const what =
    code === 'ENOENT'
      ? 'there is no such file or folder'
      : code === 'EACCES'
        ? 'the file may not be read'
        : `the file cannot be read (${code})`;
  return new TacitError<TextErrorCode>('DATA_UNREADABLE', what, {
    where: path,
    fix: 'Check the path and its permissions.',
    cause,
  });
}
