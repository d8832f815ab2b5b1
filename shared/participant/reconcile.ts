import { equalBytes, fromHex, hex } from '../core/bytes.ts';
import { budgetInWords } from '../ledger/budget.ts';
import { amountOf } from '../ledger/decimal.ts';
import type { Entry, EntryKind } from '../ledger/entries.ts';

/** One of the two ledgers, read whole. */
export interface LedgerSide {
  readonly origin: string;
  readonly size: number;
  readonly entries: readonly { readonly index: number; readonly leafHash: Uint8Array; readonly entry: Entry }[];
  /** Root of the first `size` entries. */
  root(size: number): Uint8Array;
}

/** Where the two say different things, with the entries of both. */
export interface Parting {
  readonly code:
    | 'RUN_UNKNOWN'
    | 'CONSENT_UNKNOWN'
    | 'PLAN_OTHER'
    | 'AMOUNT_OTHER'
    | 'ENTRY_OTHER'
    | 'HISTORY_OTHER'
    | 'END_OTHER';
  readonly run: string;
  readonly what: string;
  /** Index in the coordinator's ledger, null where it has nothing. */
  readonly coordinator: number | null;
  readonly site: number | null;
  readonly coordinatorSays: string;
  readonly siteSays: string;
}

export interface Reconciliation {
  readonly clientId: string;
  readonly runs: readonly {
    readonly run: string;
    readonly budget: string;
    readonly siteEpsilon: string;
    readonly coordinatorEpsilon: string | null;
    readonly agrees: boolean;
  }[];
  /** In the order of the coordinator's ledger; the first one is where they part. */
  readonly partings: readonly Parting[];
  /** Differences that have an innocent reason. */
  readonly notes: readonly string[];
}

type Found<K extends EntryKind> = { readonly index: number; readonly leafHash: Uint8Array; readonly entry: Entry<K> };

function all<K extends EntryKind>(side: LedgerSide, kind: K): readonly Found<K>[] {
  return side.entries.filter(({ entry }) => entry.kind === kind) as unknown as readonly Found<K>[];
}

function find<K extends EntryKind>(side: LedgerSide, kind: K, run: string): Found<K> | undefined {
  return all(side, kind).find(({ entry }) => 'run' in entry && entry.run === run);
}

/**
 * A site's own account of its data against the coordinator's: every plan that it set a budget aside for, every charge that it
 * saw and under which root, every consent that the coordinator holds in its name.
 */
export function reconcile(coordinator: LedgerSide, site: LedgerSide): Reconciliation {
  const clientId = site.origin.replace(/^tacit\.client\//, '');
  const partings: Parting[] = [];
  const notes: string[] = [];
  const runs = all(site, 'reserve').map(({ index, entry }) => {
    const before = partings.length;
    const theirs = find(coordinator, 'reserve', entry.run);
    if (theirs === undefined)
      partings.push(
        part(
          'RUN_UNKNOWN',
          entry.run,
          'the coordinator reserved nothing for this run',
          null,
          index,
          'nothing',
          amount(entry),
        ),
      );
    else partings.push(...reservationPartings(index, entry, theirs));
    partings.push(...chargePartings(coordinator, site, entry.run));
    partings.push(...endPartings(coordinator, site, entry.run, notes));
    return {
      run: entry.run,
      budget: entry.budgets.map(budgetInWords).join('; '),
      siteEpsilon: entry.epsilon,
      coordinatorEpsilon: theirs?.entry.epsilon ?? null,
      agrees: partings.length === before,
    };
  });
  for (const { index, entry } of all(coordinator, 'consent')) {
    if (entry.clientId !== clientId || find(site, 'reserve', entry.run) !== undefined) continue;
    const what = 'the coordinator holds a consent of this site that its own ledger does not know';
    partings.push(part('CONSENT_UNKNOWN', entry.run, what, index, null, entry.planHash, 'nothing'));
  }
  const place = (p: Parting): number => p.coordinator ?? Number.POSITIVE_INFINITY;
  return { clientId, runs, partings: partings.sort((a, b) => place(a) - place(b)), notes };
}

function reservationPartings(
  index: number,
  mine: Entry<'reserve'>,
  theirs: { readonly index: number; readonly entry: Entry<'reserve'> },
): Parting[] {
  const { run } = mine;
  const partings: Parting[] = [];
  if (mine.planHash !== theirs.entry.planHash)
    partings.push(
      part(
        'PLAN_OTHER',
        run,
        'they are about different plans',
        theirs.index,
        index,
        theirs.entry.planHash,
        mine.planHash,
      ),
    );
  const same =
    amountOf(mine.epsilon) === amountOf(theirs.entry.epsilon) && amountOf(mine.delta) === amountOf(theirs.entry.delta);
  if (!same)
    partings.push(
      part(
        'AMOUNT_OTHER',
        run,
        'they set different amounts aside',
        theirs.index,
        index,
        amount(theirs.entry),
        amount(mine),
      ),
    );
  return partings;
}

/** What the site saw with its own eyes: the entry in its place, under a root. */
function chargePartings(coordinator: LedgerSide, site: LedgerSide, run: string): Parting[] {
  return all(site, 'charge').flatMap(({ index, entry }) => {
    if (entry.run !== run || entry.origin !== coordinator.origin) return [];
    const partings: Parting[] = [];
    const now = coordinator.entries[entry.index];
    if (now === undefined || !equalBytes(now.leafHash, fromHex(entry.leafHash)))
      partings.push(
        part(
          'ENTRY_OTHER',
          run,
          `entry ${entry.index} of the coordinator is not the one that this site saw`,
          entry.index,
          index,
          now === undefined ? 'nothing' : hex(now.leafHash),
          entry.leafHash,
        ),
      );
    const root = entry.size <= coordinator.size ? hex(coordinator.root(entry.size)) : 'a shorter ledger';
    if (root !== entry.root)
      partings.push(
        part(
          'HISTORY_OTHER',
          run,
          `the coordinator’s first ${entry.size} entries are not those that this site saw`,
          entry.index,
          index,
          root,
          entry.root,
        ),
      );
    return partings;
  });
}

function endPartings(coordinator: LedgerSide, site: LedgerSide, run: string, notes: string[]): Parting[] {
  const mine = find(site, 'plan.close', run);
  const theirs = find(coordinator, 'plan.close', run);
  if (mine === undefined || theirs === undefined) {
    if (mine !== theirs)
      notes.push(
        `run ${run}: ended ${mine === undefined ? 'for the coordinator, open for this site' : 'for this site, open for the coordinator'}; what is open counts as spent`,
      );
    return [];
  }
  if (mine.entry.roundsReleased < theirs.entry.roundsReleased)
    notes.push(
      `run ${run}: this site was there for ${mine.entry.roundsReleased} of ${theirs.entry.roundsReleased} released rounds`,
    );
  const more = mine.entry.roundsReleased > theirs.entry.roundsReleased;
  // A site that saw no release gives its reservation back although others' data was released: its own data was not in it.
  // One that took its consent back in the middle counts everything that it had sent.
  const unseen = mine.entry.revealed && !theirs.entry.revealed && mine.entry.outcome !== 'stopped';
  if (!more && !unseen) return [];
  const says = (e: Entry<'plan.close'>): string => `${e.roundsReleased} rounds released, ε ${e.epsilon} charged`;
  const what = 'this site saw more released than the coordinator accounts for';
  return [part('END_OTHER', run, what, theirs.index, mine.index, says(theirs.entry), says(mine.entry))];
}

function amount({ epsilon, delta }: Entry<'reserve'>): string {
  return `ε ${epsilon}, δ ${delta}`;
}

function part(
  code: Parting['code'],
  run: string,
  what: string,
  coordinator: number | null,
  site: number | null,
  coordinatorSays: string,
  siteSays: string,
): Parting {
  return { code, run, what, coordinator, site, coordinatorSays, siteSays };
}
