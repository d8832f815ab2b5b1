import type { BudgetAuthority } from './budget.ts';
import { budgetInWords } from './budget.ts';
import { amountOf } from './decimal.ts';
import type { Entry } from './entries.ts';
import type { Findings } from './verify-findings.ts';
import { verifySum } from './verify-sums.ts';

export interface RunSummary {
  readonly run: string;
  /** Index of its plan.commit. */
  readonly index: number;
  readonly planHash: string;
  /** As committed, and as computed here; null without privacy or without an accountant. */
  readonly epsilon: number | null;
  readonly recomputedEpsilon: number | null;
  readonly delta: number | null;
  readonly consents: number;
  readonly refusals: number;
  readonly released: number;
  readonly state: 'open' | 'finished' | 'stopped' | 'failed';
}

/** Code of a client's refusal that takes its consent back. */
export const WITHDRAWN = 'CONSENT_WITHDRAWN';

interface Run {
  readonly index: number;
  readonly plan: Entry<'plan.commit'>;
  recomputed: number | null;
  reservation: string | null;
  consents: number;
  refusals: number;
  released: number;
  /** Rounds that count against the certificate, per stage: released, or aborted after shares left. */
  readonly counted: Map<number, number>;
  /** Model after the last release, and its stage. */
  model: { readonly stage: number; readonly hash: string } | undefined;
  state: RunSummary['state'];
}

/** A run from its plan to its end: one plan, its reservation, no more rounds and no smaller cohorts than promised. */
export class RunVerifier {
  readonly #findings: Findings;
  readonly #authority: BudgetAuthority;
  readonly #runs = new Map<string, Run>();
  /** sid → entry. */
  readonly #sessions = new Map<string, number>();

  constructor(findings: Findings, authority: BudgetAuthority) {
    this.#findings = findings;
    this.#authority = authority;
  }

  get count(): number {
    return this.#runs.size;
  }

  /** @returns false when the run has a plan already */
  plan(entry: Entry<'plan.commit'>): boolean {
    const before = this.#runs.get(entry.run);
    if (before !== undefined) {
      this.#findings.fail(
        'PLAN_CHANGED',
        'a run has one plan',
        `the plan of entry ${before.index}`,
        `a second plan for ${entry.run}`,
      );
      return false;
    }
    this.#runs.set(entry.run, {
      index: this.#findings.index,
      plan: entry,
      recomputed: null,
      reservation: null,
      consents: 0,
      refusals: 0,
      released: 0,
      counted: new Map(),
      model: undefined,
      state: 'open',
    });
    return true;
  }

  recomputed(run: string, epsilon: number | null): void {
    const known = this.#runs.get(run);
    if (known !== undefined) known.recomputed = epsilon;
  }

  consent(entry: Entry<'consent'>): void {
    const run = this.#runOf(entry.run);
    if (run === undefined) return;
    run.consents++;
    if (run.plan.planHash !== entry.planHash)
      this.#findings.fail(
        'PLAN_CHANGED',
        'the consent is to another plan than the committed one',
        run.plan.planHash,
        entry.planHash,
      );
  }

  refusal(entry: Entry<'refusal'>): void {
    const run = entry.run === null ? undefined : this.#runs.get(entry.run);
    if (run !== undefined) run.refusals++;
    this.#findings.note(
      entry.code === WITHDRAWN
        ? `${entry.by} took its consent back: ${entry.reason}`
        : `${entry.by} refused: ${entry.code}: ${entry.reason}`,
    );
  }

  reserve(entry: Entry<'reserve'>): void {
    const run = this.#runOf(entry.run);
    if (run === undefined) return;
    run.reservation = entry.reservation;
    const { planHash, certificate, budgets } = run.plan;
    if (planHash !== entry.planHash)
      this.#findings.fail('PLAN_CHANGED', 'the reservation is for another plan', planHash, entry.planHash);
    if (
      certificate !== null &&
      (amountOf(entry.epsilon) < amountOf(certificate.epsilon) || amountOf(entry.delta) < amountOf(certificate.delta))
    ) {
      this.#findings.fail(
        'RESERVATION_SHORT',
        'less is reserved than the plan can spend',
        `ε ${certificate.epsilon}, δ ${certificate.delta}`,
        `ε ${entry.epsilon}, δ ${entry.delta}`,
      );
    }
    const names = (keys: typeof budgets): string => keys.map(budgetInWords).sort().join('; ');
    if (names(budgets) !== names(entry.budgets))
      this.#findings.fail(
        'RESERVATION_OTHER',
        'other budgets are charged than the plan names',
        names(budgets),
        names(entry.budgets),
      );
  }

  release(entry: Entry<'round.release'>): void {
    const run = this.#roundOf(entry);
    if (run === undefined) return;
    run.released++;
    this.#count(run, entry);
    if (entry.survivors < run.plan.minimumCohort)
      this.#findings.fail(
        'COHORT_SMALL',
        'fewer clients in the sum than the plan promises',
        `at least ${run.plan.minimumCohort}`,
        `${entry.survivors}`,
      );
    verifySum(run.plan, entry, this.#findings);
    const before = run.model;
    if (before !== undefined && before.stage === entry.stage && before.hash !== entry.previousModelHash) {
      this.#findings.fail(
        'MODEL_CHAIN',
        'the round did not start from the model of the round before',
        before.hash,
        entry.previousModelHash,
      );
    }
    run.model = { stage: entry.stage, hash: entry.modelHash };
  }

  abort(entry: Entry<'round.abort'>): void {
    const run = this.#roundOf(entry);
    if (run !== undefined && entry.revealed) this.#count(run, entry);
  }

  close(entry: Entry<'plan.close'>): void {
    const run = this.#runOf(entry.run);
    if (run === undefined) return;
    if (run.state !== 'open') this.#findings.fail('RUN_CLOSED', 'a run ends once', 'an open run', run.state);
    run.state = entry.outcome;
    if (entry.roundsReleased !== run.released)
      this.#findings.fail(
        'ROUNDS_WRONG',
        'the run says another number of released rounds than the ledger holds',
        `${run.released}`,
        `${entry.roundsReleased}`,
      );
    if (entry.reservation !== run.reservation)
      this.#findings.fail(
        'UNRESERVED',
        'the run ends another reservation than its own',
        String(run.reservation),
        String(entry.reservation),
      );
  }

  summaries(): readonly RunSummary[] {
    return [...this.#runs].map(([name, run]) => {
      const { certificate, planHash } = run.plan;
      return {
        run: name,
        index: run.index,
        planHash,
        epsilon: certificate === null ? null : Number(certificate.epsilon),
        recomputedEpsilon: run.recomputed,
        delta: certificate === null ? null : Number(certificate.delta),
        consents: run.consents,
        refusals: run.refusals,
        released: run.released,
        state: run.state,
      };
    });
  }

  /** A client's own ledger holds no plans: those are in the coordinator's, which it names by index and leaf hash. */
  #runOf(name: string): Run | undefined {
    const run = this.#runs.get(name);
    if (run === undefined && this.#authority === 'two-person')
      this.#findings.fail(
        'PLAN_MISSING',
        `run ${name} has no committed plan before this entry`,
        'a plan.commit entry',
        'none',
      );
    return run;
  }

  /** What releases and aborts have in common: an open run with this stage, its reservation, and a session of its own. */
  #roundOf(entry: Entry<'round.release'> | Entry<'round.abort'>): Run | undefined {
    const run = this.#runOf(entry.run);
    if (run === undefined) return undefined;
    if (run.state !== 'open')
      this.#findings.fail(
        'RUN_CLOSED',
        'a round after the end of its run',
        'an open run',
        `${entry.run} is ${run.state}`,
      );
    if (run.plan.certificate !== null && (run.reservation === null || entry.reservation !== run.reservation)) {
      this.#findings.fail(
        'UNRESERVED',
        'a round without the reservation of its run',
        String(run.reservation),
        String(entry.reservation),
      );
    }
    if (entry.sid !== null) {
      const used = this.#sessions.get(entry.sid);
      if (used !== undefined)
        this.#findings.fail('SESSION_REUSED', 'a session is used once', 'a new sid', `the sid of entry ${used}`);
      this.#sessions.set(entry.sid, this.#findings.index);
    }
    return run;
  }

  #count(run: Run, entry: { readonly run: string; readonly stage: number }): void {
    const stage = run.plan.stages.find((s) => s.index === entry.stage);
    const counted = (run.counted.get(entry.stage) ?? 0) + 1;
    run.counted.set(entry.stage, counted);
    if (counted > (stage?.rounds ?? 0))
      this.#findings.fail(
        'ROUNDS_EXCEEDED',
        `stage ${entry.stage} of run ${entry.run} has more rounds than its certificate covers`,
        `${stage?.rounds ?? 0}`,
        `${counted}`,
      );
  }
}
