import { equalBytes, fromHex, fromUtf8 } from '../core/bytes.ts';
import { canonicalBytes } from '../core/canonical.ts';
import { sha256Hex } from '../core/hash.ts';
import { type BudgetAuthority, BudgetProjection, type BudgetStatus, budgetInWords } from './budget.ts';
import { budgetProblem } from './budget-rules.ts';
import type { BundleFiles } from './bundle.ts';
import { amountOf } from './decimal.ts';
import { type Entry, type RosterMember, rosterHash } from './entries.ts';
import { verifyStatement } from './statement.ts';
import type { VerifyFailure } from './verify.ts';

/**
 * Computes the certificate of a plan again from its committed parameters alone. `problems` are claims that do not follow
 * from the parameters (for example a committed noise that the local noise does not give).
 */
export type Recompute = (plan: Entry<'plan.commit'>) => Recomputed | Promise<Recomputed>;
export interface Recomputed {
  readonly epsilon: number;
  readonly problems?: readonly string[];
}

/** Accountants agree to this much, relative to ε. */
const EPSILON_TOLERANCE = 1e-6;

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

interface Context {
  readonly origin: string;
  readonly files: BundleFiles;
  readonly authority: BudgetAuthority;
  readonly recompute: Recompute | undefined;
  readonly leafHash: (index: number) => Uint8Array;
}

/** What entries claim, checked in their order: each against everything that stands before it. */
export class EntryVerifier {
  readonly #context: Context;
  readonly #budgets: BudgetProjection;
  readonly #failures: VerifyFailure[] = [];
  readonly #unchecked: string[] = [];
  readonly #notes: string[] = [];
  readonly #runs = new Map<string, Run>();
  readonly #sessions = new Map<string, number>();
  /** Every key that some roster gave a client. */
  readonly #members = new Map<string, Set<string>>();
  readonly #unlisted: { readonly index: number; readonly clientId: string; readonly publicKey: string }[] = [];
  /** Hashes of all rosters so far. */
  readonly #rosters = new Set<string>();
  #index = 0;

  constructor(context: Context) {
    this.#context = context;
    this.#budgets = new BudgetProjection(context.authority);
  }

  /** Takes entry number `index`; undefined when its bytes could not be read (reported by the caller). */
  async take(index: number, entry: Entry | undefined): Promise<void> {
    this.#index = index;
    if (entry === undefined) return;
    const problem = budgetProblem(this.#budgets, entry);
    if (problem !== undefined) this.#fail(problem.code, problem.what, problem.expected, problem.actual);
    this.#budgets.apply(entry);
    await this.#check(entry);
  }

  finish(): {
    readonly failures: readonly VerifyFailure[];
    readonly unchecked: readonly string[];
    readonly notes: readonly string[];
    readonly budgets: readonly BudgetStatus[];
    readonly runs: readonly RunSummary[];
  } {
    for (const { index, clientId, publicKey } of this.#unlisted) {
      this.#index = index;
      const known = this.#members.get(clientId);
      if (known === undefined)
        this.#unchecked.push(`entry ${index}: the key of client ${clientId} is in no roster of this ledger`);
      else if (!known.has(publicKey))
        this.#fail(
          'KEY_UNKNOWN',
          `client ${clientId} signed with a key that no roster gives it`,
          [...known].join(' or '),
          publicKey,
        );
    }
    const budgets = this.#budgets.status();
    for (const b of budgets) {
      if (b.reserved > 0)
        this.#notes.push(
          `${budgetInWords(b.budget)}: ε ${b.reserved} is reserved by runs that have not ended; it counts as spent`,
        );
    }
    if (this.#budgets.approvers.length === 0 && budgets.length > 0 && this.#context.authority === 'two-person') {
      this.#unchecked.push('who approved the budgets: no roster names approvers, so any two different keys counted');
    }
    if (this.#context.recompute === undefined && this.#runs.size > 0)
      this.#unchecked.push('every ε: no accountant was handed in');
    return {
      failures: this.#failures,
      unchecked: this.#unchecked,
      notes: this.#notes,
      budgets,
      runs: [...this.#runs].map(summary),
    };
  }

  async #check(entry: Entry): Promise<void> {
    switch (entry.kind) {
      case 'plan.commit':
        return this.#plan(entry);
      case 'consent':
        this.#consent(entry);
        break;
      case 'refusal':
        this.#refusal(entry);
        break;
      case 'reserve':
        this.#reserve(entry);
        break;
      case 'round.release':
        this.#release(entry);
        break;
      case 'round.abort':
        this.#abort(entry);
        break;
      case 'plan.close':
        this.#close(entry);
        break;
      case 'roster.update':
        this.#rosterUpdate(entry);
        break;
      case 'key.rotate':
        this.#signed('key.rotate', entry.change, entry.change.oldPublicKey, entry.signature, 'the old key');
        break;
      case 'countersignature':
        this.#countersignature(entry);
        break;
      case 'charge':
        this.#charge(entry);
        break;
      case 'incident':
        this.#notes.push(`entry ${this.#index}: incident ${entry.code}: ${entry.what}`);
        break;
      default:
        break;
    }
  }

  async #plan(entry: Entry<'plan.commit'>): Promise<void> {
    if (this.#runs.has(entry.run))
      return this.#fail(
        'PLAN_CHANGED',
        'a run has one plan',
        `the plan of entry ${this.#runs.get(entry.run)?.index}`,
        `a second plan for ${entry.run}`,
      );
    const run: Run = {
      index: this.#index,
      plan: entry,
      recomputed: null,
      reservation: null,
      consents: 0,
      refusals: 0,
      released: 0,
      counted: new Map(),
      model: undefined,
      state: 'open',
    };
    this.#runs.set(entry.run, run);
    const document = entry.plan === null ? this.#document(`plans/${entry.planHash}.json`) : canonicalBytes(entry.plan);
    if (document !== undefined && sha256Hex(document) !== entry.planHash) {
      this.#fail(
        'PLAN_HASH_WRONG',
        'the plan document does not have the committed hash',
        entry.planHash,
        sha256Hex(document),
      );
    }
    if (entry.certificate === null) {
      this.#notes.push(
        `entry ${this.#index}: run ${entry.run} is without differential privacy; it says so and charges no budget`,
      );
      return;
    }
    if (this.#context.recompute === undefined) return;
    const stated = Number(entry.certificate.epsilon);
    const { epsilon, problems = [] } = await this.#context.recompute(entry);
    run.recomputed = epsilon;
    if (!(Math.abs(stated - epsilon) <= EPSILON_TOLERANCE * Math.max(stated, epsilon))) {
      this.#fail(
        'EPSILON_WRONG',
        `the ε of run ${entry.run} does not follow from its parameters`,
        `${epsilon}`,
        entry.certificate.epsilon,
      );
    }
    for (const problem of problems)
      this.#fail('CLAIM_FALSE', problem, 'what the parameters give', 'what the plan says');
  }

  #consent(entry: Entry<'consent'>): void {
    const run = this.#runOf(entry.run);
    if (run !== undefined) run.consents++;
    this.#signed('consent', entry.document, entry.publicKey, entry.signature, `client ${entry.clientId}`);
    this.#memberKey(entry.clientId, entry.publicKey);
    for (const field of ['run', 'planHash'] as const) {
      if (entry.document[field] !== entry[field])
        this.#fail(
          'CONSENT_OTHER',
          `the signed consent is to another ${field}`,
          entry[field],
          String(entry.document[field]),
        );
    }
    if (run !== undefined && run.plan.planHash !== entry.planHash)
      this.#fail(
        'PLAN_CHANGED',
        'the consent is to another plan than the committed one',
        run.plan.planHash,
        entry.planHash,
      );
  }

  #refusal(entry: Entry<'refusal'>): void {
    const run = entry.run === null ? undefined : this.#runs.get(entry.run);
    if (run !== undefined) run.refusals++;
    this.#notes.push(`entry ${this.#index}: ${entry.by} refused: ${entry.code}: ${entry.reason}`);
    if (entry.statement === null) return;
    const { document, publicKey, signature } = entry.statement;
    this.#signed('refusal', document, publicKey, signature, `client ${entry.by}`);
    this.#memberKey(entry.by, publicKey);
  }

  #reserve(entry: Entry<'reserve'>): void {
    const run = this.#runOf(entry.run);
    if (run === undefined) return;
    run.reservation = entry.reservation;
    const { planHash, certificate, budgets } = run.plan;
    if (planHash !== entry.planHash)
      this.#fail('PLAN_CHANGED', 'the reservation is for another plan', planHash, entry.planHash);
    if (
      certificate !== null &&
      (amountOf(entry.epsilon) < amountOf(certificate.epsilon) || amountOf(entry.delta) < amountOf(certificate.delta))
    ) {
      this.#fail(
        'RESERVATION_SHORT',
        'less is reserved than the plan can spend',
        `ε ${certificate.epsilon}, δ ${certificate.delta}`,
        `ε ${entry.epsilon}, δ ${entry.delta}`,
      );
    }
    const names = (keys: typeof budgets): string => keys.map(budgetInWords).sort().join('; ');
    if (names(budgets) !== names(entry.budgets))
      this.#fail(
        'RESERVATION_OTHER',
        'other budgets are charged than the plan names',
        names(budgets),
        names(entry.budgets),
      );
  }

  #release(entry: Entry<'round.release'>): void {
    const run = this.#roundOf(entry);
    if (run === undefined) return;
    run.released++;
    this.#count(run, entry);
    if (entry.survivors < run.plan.minimumCohort)
      this.#fail(
        'COHORT_SMALL',
        'fewer clients in the sum than the plan promises',
        `at least ${run.plan.minimumCohort}`,
        `${entry.survivors}`,
      );
    const before = run.model;
    if (before !== undefined && before.stage === entry.stage && before.hash !== entry.previousModelHash) {
      this.#fail(
        'MODEL_CHAIN',
        'the round did not start from the model of the round before',
        before.hash,
        entry.previousModelHash,
      );
    }
    run.model = { stage: entry.stage, hash: entry.modelHash };
    if (this.#rosters.size > 0 && !this.#rosters.has(entry.rosterHash)) {
      this.#fail(
        'ROSTER_UNKNOWN',
        'the round ran with a roster that was never logged',
        [...this.#rosters].join(' or '),
        entry.rosterHash,
      );
    }
  }

  #abort(entry: Entry<'round.abort'>): void {
    const run = this.#roundOf(entry);
    if (run !== undefined && entry.revealed) this.#count(run, entry);
  }

  /** What releases and aborts have in common: an open run with this stage, its reservation, and a session of its own. */
  #roundOf(entry: Entry<'round.release'> | Entry<'round.abort'>): Run | undefined {
    const run = this.#runOf(entry.run);
    if (run === undefined) return undefined;
    if (run.state !== 'open')
      this.#fail('RUN_CLOSED', 'a round after the end of its run', 'an open run', `${entry.run} is ${run.state}`);
    if (run.plan.certificate !== null && (run.reservation === null || entry.reservation !== run.reservation)) {
      this.#fail(
        'UNRESERVED',
        'a round without the reservation of its run',
        String(run.reservation),
        String(entry.reservation),
      );
    }
    if (entry.sid !== null) {
      const used = this.#sessions.get(entry.sid);
      if (used !== undefined)
        this.#fail('SESSION_REUSED', 'a session is used once', 'a new sid', `the sid of entry ${used}`);
      this.#sessions.set(entry.sid, this.#index);
    }
    return run;
  }

  #count(run: Run, entry: { readonly run: string; readonly stage: number }): void {
    const stage = run.plan.stages.find((s) => s.index === entry.stage);
    const counted = (run.counted.get(entry.stage) ?? 0) + 1;
    run.counted.set(entry.stage, counted);
    if (counted > (stage?.rounds ?? 0))
      this.#fail(
        'ROUNDS_EXCEEDED',
        `stage ${entry.stage} of run ${entry.run} has more rounds than its certificate covers`,
        `${stage?.rounds ?? 0}`,
        `${counted}`,
      );
  }

  #close(entry: Entry<'plan.close'>): void {
    const run = this.#runOf(entry.run);
    if (run === undefined) return;
    if (run.state !== 'open') this.#fail('RUN_CLOSED', 'a run ends once', 'an open run', run.state);
    run.state = entry.outcome;
    if (entry.roundsReleased !== run.released)
      this.#fail(
        'ROUNDS_WRONG',
        'the run says another number of released rounds than the ledger holds',
        `${run.released}`,
        `${entry.roundsReleased}`,
      );
    if (entry.reservation !== run.reservation)
      this.#fail(
        'UNRESERVED',
        'the run ends another reservation than its own',
        String(run.reservation),
        String(entry.reservation),
      );
  }

  /** What a client saw charged must be what it had set aside. */
  #charge(entry: Entry<'charge'>): void {
    const held = this.#budgets.reservation(entry.reservation);
    const aside = held === undefined ? 'nothing' : `ε ${held.entry.epsilon}, δ ${held.entry.delta}`;
    const seen = `ε ${entry.epsilon}, δ ${entry.delta}`;
    const same =
      held !== undefined &&
      amountOf(entry.epsilon) === held.amount.epsilon &&
      amountOf(entry.delta) === held.amount.delta;
    if (!same)
      this.#fail(
        'CHARGE_OTHER',
        `the coordinator charged something else than was set aside (entry ${entry.index} of ${entry.origin})`,
        aside,
        seen,
      );
  }

  #rosterUpdate(entry: Entry<'roster.update'>): void {
    this.#rosters.add(entry.rosterHash);
    const bytes = entry.members === null ? this.#document(`rosters/${entry.rosterHash}.json`) : undefined;
    // The blob is the RFC 8785 text of the sorted members, so its SHA-256 is the roster's hash; only then is it read.
    const actual =
      entry.members !== null ? rosterHash(entry.members) : bytes === undefined ? entry.rosterHash : sha256Hex(bytes);
    const members =
      entry.members ??
      (bytes !== undefined && actual === entry.rosterHash ? (JSON.parse(fromUtf8(bytes)) as RosterMember[]) : []);
    if (actual !== entry.rosterHash)
      this.#fail('ROSTER_WRONG', 'the members do not have the hash of the roster', entry.rosterHash, actual);
    for (const { clientId, publicKey } of members)
      this.#members.set(clientId, (this.#members.get(clientId) ?? new Set()).add(publicKey));
  }

  #countersignature(entry: Entry<'countersignature'>): void {
    const { document, publicKey, signature, clientId } = entry;
    this.#signed('countersignature', document, publicKey, signature, `client ${clientId}`);
    this.#memberKey(clientId, publicKey);
    if (document.origin !== this.#context.origin)
      this.#fail('COUNTERSIGNATURE_OTHER', 'it is about another log', this.#context.origin, document.origin);
    const earlier = document.index < this.#index;
    if (!earlier || !equalBytes(this.#context.leafHash(document.index), fromHex(document.leafHash))) {
      this.#fail(
        'COUNTERSIGNATURE_OTHER',
        `client ${clientId} saw another entry ${document.index}`,
        document.leafHash,
        'the entry in this log',
      );
    }
  }

  /** A client's own ledger holds no plans: those are in the coordinator's, which it names by index and leaf hash. */
  #runOf(name: string): Run | undefined {
    const run = this.#runs.get(name);
    if (run === undefined && this.#context.authority === 'two-person')
      this.#fail('PLAN_MISSING', `run ${name} has no committed plan before this entry`, 'a plan.commit entry', 'none');
    return run;
  }

  #signed(
    kind: Parameters<typeof verifyStatement>[0],
    document: unknown,
    publicKey: string,
    signature: string,
    who: string,
  ): void {
    if (!verifyStatement(kind, document, publicKey, signature))
      this.#fail(
        'SIGNATURE_WRONG',
        `the ${kind} signature of ${who} does not verify`,
        'a signature by the key in the entry',
        signature,
      );
  }

  /** A key is right when some roster gives it to the client; rosters may be logged after the consent that fills them. */
  #memberKey(clientId: string, publicKey: string): void {
    if (!this.#members.get(clientId)?.has(publicKey)) this.#unlisted.push({ index: this.#index, clientId, publicKey });
  }

  #document(path: string): Uint8Array | undefined {
    const bytes = this.#context.files.get(path);
    if (bytes === undefined) this.#unchecked.push(`entry ${this.#index}: ${path} is not in the bundle`);
    return bytes;
  }

  #fail(code: string, what: string, expected: string, actual: string): void {
    this.#failures.push({ index: this.#index, code, what, expected, actual });
  }
}

function summary([name, run]: [string, Run]): RunSummary {
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
}
