import type { Entry } from './entries.ts';

/** Path of the document that an entry names by its SHA-256 and does not hold: `plans/…json`, `rosters/…json`; undefined for others. */
export function documentOf(entry: Entry): { readonly path: string; readonly sha256: string } | undefined {
  if (entry.kind === 'plan.commit' && entry.plan === null)
    return { path: `plans/${entry.planHash}.json`, sha256: entry.planHash };
  if (entry.kind === 'roster.update' && entry.members === null)
    return { path: `rosters/${entry.rosterHash}.json`, sha256: entry.rosterHash };
  return undefined;
}
