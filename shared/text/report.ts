import type { TextRecord } from './record.ts';

/** Why a row became no record. */
export type DropReason =
  | 'bad-utf8'
  | 'bad-row'
  | 'too-long'
  | 'empty-text'
  | 'unknown-label'
  | 'no-person'
  | 'unreadable'
  | 'duplicate'
  | 'near-duplicate';

/** What became of the data: counts and places, never a text. */
export interface DataReport {
  /** Rows seen = kept + all dropped. */
  readonly read: number;
  readonly kept: number;
  readonly dropped: readonly {
    readonly reason: DropReason;
    readonly count: number;
    /** The first few places. */
    readonly examples: readonly { readonly source: string; readonly line: number }[];
  }[];
  /** Kept records by label. */
  readonly labels: Readonly<Record<string, number>>;
  /** Characters of the kept texts. */
  readonly lengths: { readonly min: number; readonly median: number; readonly p95: number; readonly max: number };
  /** Different persons among the kept records; 0 when no person column is given. */
  readonly persons: number;
}

const EXAMPLES = 10;

/** Counts while a file is read. */
export class ReportBuilder {
  private readonly dropped = new Map<DropReason, { count: number; examples: { source: string; line: number }[] }>();
  private readonly labels = new Map<string, number>();
  private readonly lengths: number[] = [];
  private readonly persons = new Set<string>();

  drop(reason: DropReason, source: string, line: number): void {
    const entry = this.dropped.get(reason) ?? { count: 0, examples: [] };
    entry.count++;
    if (entry.examples.length < EXAMPLES) entry.examples.push({ source, line });
    this.dropped.set(reason, entry);
  }

  /** @param labels - under which it is counted */
  keep(record: TextRecord, labels: readonly string[]): void {
    for (const label of labels) this.labels.set(label, (this.labels.get(label) ?? 0) + 1);
    this.lengths.push(record.text.length);
    if (record.person !== undefined) this.persons.add(record.person);
  }

  finish(): DataReport {
    const sorted = Float64Array.from(this.lengths).sort();
    const at = (p: number): number => sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? 0;
    const dropped = [...this.dropped].map(([reason, { count, examples }]) => ({ reason, count, examples }));
    return {
      read: sorted.length + dropped.reduce((n, d) => n + d.count, 0),
      kept: sorted.length,
      dropped: dropped.sort((a, b) => b.count - a.count),
      labels: Object.fromEntries([...this.labels].sort(([a], [b]) => (a < b ? -1 : 1))),
      lengths: { min: at(0), median: at(0.5), p95: at(0.95), max: at(1) },
      persons: this.persons.size,
    };
  }
}
