import { cleanText } from './clean.ts';
import type { RecordColumns, Row } from './columns.ts';

/**
 * Rows of a text file: the file as one, or where the columns have no label and say so a row a paragraph (up to an empty
 * line) or a line.
 * @param label - of the whole file: the folder that it lies in
 */
export function textRows(bytes: Uint8Array, label: string, columns: RecordColumns): Row[] {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return [{ line: 1, dropped: 'bad-utf8' }];
  }
  return pieces(text, columns.textPer)
    .map(({ line, text: piece }) => textRow(cleanText(piece), label, columns, line))
    .filter((row) => columns.textPer === undefined || columns.textPer === 'file' || hasText(row));
}

/** One text that was found outside a table. */
export function textRow(text: string, label: string, columns: RecordColumns, line = 1): Row {
  const name = typeof columns.text === 'string' ? columns.text : (columns.text[0] ?? 'text');
  const values = new Map([[name, text]]);
  if (columns.label !== undefined) values.set(columns.label, label);
  return { line, values };
}

function hasText(row: Row): boolean {
  return 'values' in row && [...row.values.values()].some((value) => value !== '');
}

function pieces(text: string, per: RecordColumns['textPer'] = 'file'): { line: number; text: string }[] {
  if (per === 'file') return [{ line: 1, text }];
  const lines = text.split(/\r?\n/);
  if (per === 'line') return lines.map((piece, at) => ({ line: at + 1, text: piece }));
  const out: { line: number; text: string }[] = [];
  let open = false;
  for (const [at, line] of lines.entries()) {
    const blank = line.trim() === '';
    const last = out.at(-1);
    if (!blank && open && last !== undefined) last.text += `\n${line}`;
    else if (!blank) out.push({ line: at + 1, text: line });
    open = !blank;
  }
  return out;
}
