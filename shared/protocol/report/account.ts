import type { BudgetStatus } from '../../ledger/budget.ts';
import { keyText } from '../../ledger/budget.ts';
import type { BudgetKey, Entry, EntryKind } from '../../ledger/entries.ts';
import { type RunSummary, WITHDRAWN } from '../../ledger/verify-runs.ts';
import { oddsInWords } from '../../privacy/explain.ts';

/** An entry with its place: what a statement in a report points at. */
export interface Placed<K extends EntryKind = EntryKind> {
  readonly index: number;
  readonly entry: Entry<K>;
}

/** What one run promised and did, out of its entries. */
export interface RunAccount {
  readonly run: string;
  readonly purpose: string;
  readonly state: RunSummary['state'];
  readonly unit: string;
  readonly neighbouringRelation: string;
  /** As committed; null for a run without privacy. */
  readonly epsilon: number | null;
  readonly delta: number | null;
  /** As computed again from the parameters, null when nobody did. */
  readonly recomputedEpsilon: number | null;
  readonly odds: string | null;
  readonly accountant: string | null;
  readonly adversary: string | null;
  readonly assumptions: readonly string[];
  readonly minimumCohort: number;
  readonly colluders: number;
  readonly stages: Entry<'plan.commit'>['stages'];
  readonly library: string;
  readonly planHash: string;
  readonly plan: Entry<'plan.commit'>['plan'];
  readonly roundsReleased: number;
  readonly participants: readonly string[];
  readonly refusals: number;
  /** Sites that took their consent back. */
  readonly withdrawals: readonly {
    readonly index: number;
    readonly at: string;
    readonly organisation: string;
    readonly reason: string;
  }[];
  readonly begun: string;
  readonly ended: string | null;
  /** SHA-256 of the published model's manifest. */
  readonly modelHash: string | null;
  /** Entries that say so: the plan, the reservation, the end. */
  readonly entries: readonly number[];
}

/** One data scope × unit × period. */
export interface ScopeAccount {
  readonly budget: BudgetKey;
  readonly epsilon: number;
  readonly delta: number;
  readonly spent: number;
  readonly spentDelta: number;
  readonly reserved: number;
  readonly left: number;
  /** For everything spent or reserved so far; null while that is nothing. */
  readonly odds: string | null;
  readonly purpose: string;
  readonly legalBasis: string;
  /** Openings, raisings and lowerings, each with who approved it. */
  readonly decisions: readonly {
    readonly index: number;
    readonly at: string;
    readonly what: string;
    readonly approvers: readonly string[];
  }[];
  readonly runs: readonly RunAccount[];
  readonly refusals: readonly { readonly index: number; readonly at: string; readonly reason: string }[];
}

/** Budgets with what they were spent on. @param runs - as `verify` found them */
export function scopeAccounts(
  entries: readonly Placed[],
  budgets: readonly BudgetStatus[],
  runs: readonly RunSummary[],
): readonly ScopeAccount[] {
  const accounts = runAccounts(entries, runs);
  return budgets.map((status) => {
    const key = keyText(status.budget);
    const names = (keys: readonly BudgetKey[]): boolean => keys.some((k) => keyText(k) === key);
    const openings = of(entries, 'budget.open').filter(({ entry }) => keyText(entry.opening.budget) === key);
    const last = openings.at(-1)?.entry.opening;
    const used = status.spent + status.reserved;
    return {
      budget: status.budget,
      epsilon: status.epsilon,
      delta: status.delta,
      spent: status.spent,
      spentDelta: status.spentDelta,
      reserved: status.reserved,
      left: status.left,
      odds: used > 0 ? oddsInWords(used, status.spentDelta + status.reservedDelta, status.budget.unit) : null,
      purpose: last?.purpose ?? '',
      legalBasis: last?.legalBasis ?? '',
      decisions: decisions(entries, key),
      runs: accounts.filter(({ budgets: charged }) => names(charged)).map(({ account }) => account),
      refusals: of(entries, 'refusal')
        .filter(({ entry }) => entry.request !== null && keyText(entry.request.budget) === key)
        .map(({ index, entry }) => ({ index, at: entry.at, reason: entry.reason })),
    };
  });
}

/** Runs that promise no privacy: they charge no budget and must not be overlooked. */
export function unprotectedRuns(entries: readonly Placed[], runs: readonly RunSummary[]): readonly RunAccount[] {
  return runAccounts(entries, runs)
    .filter(({ account }) => account.epsilon === null)
    .map(({ account }) => account);
}

function decisions(entries: readonly Placed[], key: string): ScopeAccount['decisions'] {
  return entries.flatMap(({ index, entry }) => {
    if (entry.kind === 'budget.open' && keyText(entry.opening.budget) === key) {
      const { epsilon, delta, revision } = entry.opening;
      const what = `${revision === 0 ? 'opened' : 'raised'}: ε ${epsilon}, δ ${delta}`;
      return [{ index, at: entry.at, what, approvers: entry.approvals.map((a) => a.approver) }];
    }
    if (entry.kind !== 'budget.lower' || keyText(entry.budget) !== key) return [];
    return [{ index, at: entry.at, what: `lowered to ε ${entry.epsilon}: ${entry.reason}`, approvers: [] }];
  });
}

function runAccounts(
  entries: readonly Placed[],
  runs: readonly RunSummary[],
): readonly { readonly budgets: readonly BudgetKey[]; readonly account: RunAccount }[] {
  const organisations = organisationsOf(entries);
  return of(entries, 'plan.commit').map(({ index, entry: plan }) => {
    const summary = runs.find((r) => r.run === plan.run);
    const own = entries.filter(({ entry }) => 'run' in entry && entry.run === plan.run);
    const end = of(own, 'plan.close').at(-1);
    const consents = of(own, 'consent');
    const { certificate } = plan;
    const [epsilon, delta] = certificate === null ? [null, null] : [certificate.epsilon, certificate.delta].map(Number);
    return {
      budgets: plan.budgets,
      account: {
        run: plan.run,
        purpose: plan.purpose,
        state: summary?.state ?? 'open',
        unit: plan.unit,
        neighbouringRelation: plan.neighbouringRelation,
        epsilon: epsilon ?? null,
        delta: delta ?? null,
        recomputedEpsilon: summary?.recomputedEpsilon ?? null,
        odds: certificate === null ? null : oddsInWords(Number(epsilon), Number(delta), plan.unit),
        accountant: certificate?.accountant ?? null,
        adversary: certificate?.adversary ?? null,
        assumptions: certificate?.assumptions ?? [],
        minimumCohort: plan.minimumCohort,
        colluders: plan.colluders,
        stages: plan.stages,
        library: plan.library,
        planHash: plan.planHash,
        plan: plan.plan,
        roundsReleased: of(own, 'round.release').length,
        participants: [...new Set(consents.map(({ entry }) => organisations.get(entry.clientId) ?? entry.clientId))],
        refusals: of(own, 'refusal').filter(({ entry }) => entry.code !== WITHDRAWN).length,
        withdrawals: of(own, 'refusal')
          .filter(({ entry }) => entry.code === WITHDRAWN)
          .map(({ index: place, entry }) => ({
            index: place,
            at: entry.at,
            organisation: organisations.get(entry.by) ?? entry.by,
            reason: entry.reason,
          })),
        begun: plan.at,
        ended: end?.entry.at ?? null,
        modelHash: end?.entry.modelHash ?? null,
        entries: [index, ...of(own, 'reserve').map((p) => p.index), ...(end === undefined ? [] : [end.index])],
      },
    };
  });
}

function organisationsOf(entries: readonly Placed[]): ReadonlyMap<string, string> {
  const members = of(entries, 'roster.update').flatMap(({ entry }) => entry.members ?? []);
  return new Map(members.map((m) => [m.clientId, m.organisation]));
}

export function of<K extends EntryKind>(entries: readonly Placed[], kind: K): readonly Placed<K>[] {
  return entries.filter(({ entry }) => entry.kind === kind) as unknown as readonly Placed<K>[];
}
