import { BudgetProjection, type BudgetStatus, budgetInWords } from './budget.ts';
import { budgetProblem } from './budget-rules.ts';
import { amountOf } from './decimal.ts';
import type { Entry } from './entries.ts';
import { KeyHistory } from './key-chain.ts';
import { type EntryContext, Findings, type VerifyFailure } from './verify-findings.ts';
import { PeopleVerifier } from './verify-people.ts';
import { type Recompute, verifyPlan } from './verify-plans.ts';
import { type RunSummary, RunVerifier } from './verify-runs.ts';

/** What entries claim, checked in their order: each against everything that stands before it. */
export class EntryVerifier {
  readonly #context: EntryContext & { readonly recompute: Recompute | undefined };
  readonly #budgets: BudgetProjection;
  readonly #findings: Findings;
  readonly #runs: RunVerifier;
  readonly #people: PeopleVerifier;
  readonly #keys: KeyHistory;

  constructor(context: EntryContext & { readonly recompute: Recompute | undefined }) {
    this.#context = context;
    this.#budgets = new BudgetProjection(context.authority);
    this.#findings = new Findings(context);
    this.#runs = new RunVerifier(this.#findings, context.authority);
    this.#people = new PeopleVerifier(this.#findings, context);
    this.#keys = new KeyHistory(context.origin);
  }

  /** Takes entry number `index`; undefined when its bytes could not be read (reported by the caller). */
  async take(index: number, entry: Entry | undefined): Promise<void> {
    this.#findings.index = index;
    if (entry === undefined) return;
    const problem = budgetProblem(this.#budgets, entry);
    if (problem !== undefined) this.#findings.fail(problem.code, problem.what, problem.expected, problem.actual);
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
    this.#people.finish();
    const { failures, unchecked, notes } = this.#findings;
    const budgets = this.#budgets.status();
    for (const b of budgets) {
      if (b.reserved > 0)
        notes.push(
          `${budgetInWords(b.budget)}: ε ${b.reserved} is reserved by runs that have not ended; it counts as spent`,
        );
    }
    if (this.#budgets.approvers.length === 0 && budgets.length > 0 && this.#context.authority === 'two-person')
      unchecked.push('who approved the budgets: no roster names approvers, so any two different keys counted');
    if (this.#context.recompute === undefined && this.#runs.count > 0)
      unchecked.push('every ε: no accountant was handed in');
    return { failures, unchecked, notes, budgets, runs: this.#runs.summaries() };
  }

  async #check(entry: Entry): Promise<void> {
    const [runs, people, findings] = [this.#runs, this.#people, this.#findings];
    switch (entry.kind) {
      case 'plan.commit':
        if (runs.plan(entry)) {
          const { files, recompute } = this.#context;
          runs.recomputed(entry.run, await verifyPlan(entry, files, recompute, findings));
        }
        break;
      case 'consent':
        runs.consent(entry);
        people.consent(entry);
        break;
      case 'refusal':
        runs.refusal(entry);
        people.refusal(entry);
        break;
      case 'reserve':
        runs.reserve(entry);
        break;
      case 'round.release':
        runs.release(entry);
        people.release(entry);
        break;
      case 'round.abort':
        runs.abort(entry);
        break;
      case 'plan.close':
        runs.close(entry);
        break;
      case 'roster.update':
        people.roster(entry);
        break;
      case 'key.rotate':
        this.#handover(entry);
        break;
      case 'key.revoke':
        people.revoke(entry);
        break;
      case 'countersignature':
        people.countersignature(entry);
        break;
      case 'charge':
        this.#charge(entry);
        break;
      case 'audit':
        this.#audit(entry);
        break;
      case 'incident':
        findings.note(`incident ${entry.code}: ${entry.what}`);
        break;
      default:
        break;
    }
  }

  /** A measured bound above the claim refutes it; an entry that says otherwise is false. */
  #audit(entry: Entry<'audit'>): void {
    const { epsilonLowerBound, epsilonClaimed, holds } = entry;
    const stands = Number(epsilonLowerBound) <= Number(epsilonClaimed);
    if (stands !== holds)
      this.#findings.fail('AUDIT', 'the verdict is not that of its own numbers', String(stands), String(holds));
    this.#findings.note(
      `an audit measured ε ≥ ${epsilonLowerBound} (confidence ${entry.confidence}) against a claim of ${epsilonClaimed}${holds ? '' : ': REFUTED'}`,
    );
  }

  /** Signed by both keys, and following what was in force until here. */
  #handover(entry: Entry<'key.rotate'>): void {
    const { change, signature, acceptance } = entry;
    this.#findings.signed('key.rotate', change, change.oldPublicKey, signature, 'the old key');
    this.#findings.signed('key.rotate', change, change.newPublicKey, acceptance, 'the new key');
    const problem = this.#keys.problemWith(entry);
    if (problem !== undefined) this.#findings.fail('KEY_CHAIN', problem.what, problem.expected, problem.actual);
    this.#keys.take(this.#findings.index, entry);
    this.#people.handover(entry);
    this.#findings.note(`${change.role} ${change.name} has a new key: ${change.reason}`);
  }

  /** What a client saw charged must be what it had set aside. */
  #charge(entry: Entry<'charge'>): void {
    const held = this.#budgets.reservation(entry.reservation);
    const same =
      held !== undefined &&
      amountOf(entry.epsilon) === held.amount.epsilon &&
      amountOf(entry.delta) === held.amount.delta;
    if (same) return;
    this.#findings.fail(
      'CHARGE_OTHER',
      `the coordinator charged something else than was set aside (entry ${entry.index} of ${entry.origin})`,
      held === undefined ? 'nothing' : `ε ${held.entry.epsilon}, δ ${held.entry.delta}`,
      `ε ${entry.epsilon}, δ ${entry.delta}`,
    );
  }
}
