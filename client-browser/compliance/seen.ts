/** What this browser saw of a log before: the memory that makes a rewritten ledger visible. */
export interface Seen {
  readonly vkey: string;
  readonly size: number;
  /** Lower-case hex. */
  readonly root: string;
  /** ISO 8601. */
  readonly at: string;
  readonly checkpoint: string;
}

const key = (origin: string): string => `tacit/seen/${origin}`;

/** What was seen last of this log, or null. Text that is not ours counts as nothing. */
export function recallSeen(origin: string): Seen | null {
  const text = localStorage.getItem(key(origin));
  if (text === null) return null;
  try {
    const seen = JSON.parse(text) as Partial<Seen>;
    return typeof seen.vkey === 'string' && typeof seen.size === 'number' && typeof seen.root === 'string'
      ? (seen as Seen)
      : null;
  } catch {
    return null;
  }
}

/** Remembers a checkpoint that was verified; never a smaller one. */
export function rememberSeen(origin: string, seen: Seen): void {
  const before = recallSeen(origin);
  if (before === null || seen.size >= before.size) localStorage.setItem(key(origin), JSON.stringify(seen));
}
