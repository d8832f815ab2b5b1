import { TacitError } from '../core/errors.ts';
import type { TextErrorCode } from './errors.ts';

export type TextTask = 'classification' | 'multi-label' | 'regression';

/** Which columns (CSV) or keys (JSONL) of a file are what. */
export interface RecordColumns {
  /** Several columns are joined by a line break, in this order. */
  readonly text: string | readonly string[];
  /** Absent: texts without labels. */
  readonly label?: string;
  readonly person?: string;
  /**
   * What the label column holds. `classification` (default): one label. `multi-label`: any number of them, separated by
   * `;` or `|` (JSONL: a list). `regression`: a number.
   */
  readonly task?: TextTask;
  /** The plan's labels; a record with another one is dropped and reported. `any`: whatever is there. Not read for regression. */
  readonly labels: readonly string[] | 'any';
  /** Of texts without labels: what one text of a `.txt` file is. Default: the file. */
  readonly textPer?: 'file' | 'paragraph' | 'line';
  /** Values of the label column that stand for a label, e.g. `{ "1": "World" }`. */
  readonly labelValues?: Readonly<Record<string, string>>;
  /** Names of the columns of a CSV file that has no header line. */
  readonly header?: readonly string[];
  /** The file's name, for ids and the report. */
  readonly source?: string;
}

/** A row as the readers deliver it: named values, or the reason why there are none. */
export type Row =
  | { readonly line: number; readonly source?: string; readonly values: ReadonlyMap<string, string> }
  | {
      readonly line: number;
      readonly source?: string;
      readonly dropped: 'bad-utf8' | 'bad-row' | 'too-long' | 'unreadable';
    };

/** The columns that must be there. */
export function neededColumns(columns: RecordColumns): string[] {
  const texts = typeof columns.text === 'string' ? [columns.text] : [...columns.text];
  return [...texts, columns.label, columns.person].filter((name) => name !== undefined);
}

/** @throws DATA_COLUMNS, naming what is missing and what there is */
export function requireColumns(present: readonly string[], columns: RecordColumns): void {
  const missing = neededColumns(columns).filter((c) => !present.includes(c));
  if (missing.length === 0) return;
  const names = present.slice(0, 20).map((c) => c.slice(0, 60));
  throw new TacitError<TextErrorCode>(
    'DATA_COLUMNS',
    `no column ${missing.join(', ')}; the file has ${names.join(', ')}`,
    {
      where: columns.source ?? 'data',
      fix:
        columns.label === undefined
          ? 'Name the column that holds the text, or rename it in the file.'
          : 'Name the columns that hold the text and the label, or rename them in the file.',
    },
  );
}
