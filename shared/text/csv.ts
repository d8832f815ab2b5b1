// The package's browser build: the same code with its own Buffer, so that a worker bundle needs no polyfill.
import { parse } from 'csv-parse/browser/esm/sync';
import { TacitError } from '../core/errors.ts';
import { LIMITS } from '../core/limits.ts';
import { neededColumns, type RecordColumns, type Row, requireColumns } from './columns.ts';
import type { TextErrorCode } from './errors.ts';
import { lines } from './lines.ts';

const DELIMITERS = [',', ';', '\t'] as const;

interface ParsedRow {
  readonly record: string[];
  /** Last physical line of the row. */
  readonly info: { readonly lines: number };
}

/** Rows of a CSV file, each with the line it begins on. @throws DATA_COLUMNS, DATA_FORMAT */
export function* csvRows(bytes: Uint8Array, columns: RecordColumns): Generator<Row> {
  const { text, bad } = decodeLines(bytes);
  const where = columns.source ?? 'data';
  const delimiter = delimiterOf(text.slice(0, text.indexOf('\n') === -1 ? undefined : text.indexOf('\n')), columns);
  const parsed = parseAll(text, delimiter, where);
  const header = columns.header ?? parsed.shift()?.record.map((name) => name.trim()) ?? [];
  requireColumns(header, columns);
  let begin = columns.header === undefined ? headerLines(text, delimiter) + 1 : 1;
  for (const { record, info } of parsed) {
    const line = begin;
    begin = info.lines + 1;
    const blemish = worst(bad, line, info.lines);
    if (blemish !== undefined) yield { line, dropped: blemish };
    else if (record.length === 1 && record[0]?.trim() === '') continue;
    else if (record.length !== header.length) yield { line, dropped: 'bad-row' };
    else if (record.some((field) => field.length > LIMITS.recordBytes)) yield { line, dropped: 'too-long' };
    else yield { line, values: new Map(header.map((name, i) => [name, record[i] as string])) };
  }
}

/** The whole text, and which lines of it may not be used. */
function decodeLines(bytes: Uint8Array): { text: string; bad: Map<number, 'bad-utf8' | 'too-long'> } {
  const bad = new Map<number, 'bad-utf8' | 'too-long'>();
  const out: string[] = [];
  for (const line of lines(bytes)) {
    if (line.dropped !== undefined) bad.set(line.number, line.dropped);
    out.push(line.text);
  }
  return { text: out.join('\n'), bad };
}

function worst(
  bad: ReadonlyMap<number, 'bad-utf8' | 'too-long'>,
  from: number,
  to: number,
): 'bad-utf8' | 'too-long' | undefined {
  if (bad.size === 0) return undefined;
  for (let line = from; line <= to; line++) {
    const found = bad.get(line);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The delimiter under which the first line has the named columns; without one the most frequent (a wrong header is reported later). */
function delimiterOf(first: string, columns: RecordColumns): string {
  const named = DELIMITERS.find((d) => {
    const cells = first.split(d).map((c) => c.trim().replace(/^"|"$/g, ''));
    return columns.header === undefined
      ? neededColumns(columns).every((c) => cells.includes(c))
      : cells.length === columns.header.length;
  });
  const count = (d: string): number => first.split(d).length;
  return named ?? [...DELIMITERS].sort((a, b) => count(b) - count(a))[0] ?? ',';
}

function headerLines(text: string, delimiter: string): number {
  const [row] = parse(text, { ...OPTIONS, delimiter, to: 1 }) as unknown as ParsedRow[];
  return row?.info.lines ?? 0;
}

const OPTIONS = {
  info: true,
  relax_column_count: true,
  relax_quotes: true,
  skip_empty_lines: false,
  record_delimiter: '\n',
} as const;

function parseAll(text: string, delimiter: string, where: string): ParsedRow[] {
  try {
    return parse(text, { ...OPTIONS, delimiter }) as unknown as ParsedRow[];
  } catch (cause) {
    const line = (cause as { lines?: number }).lines;
    throw new TacitError<TextErrorCode>('DATA_FORMAT', 'the file is not CSV: a quotation mark is not closed', {
      where: line === undefined ? where : `${where}:${line}`,
      fix: 'Close the quotation mark, or write a quotation mark inside a text twice.',
      cause,
    });
  }
}
