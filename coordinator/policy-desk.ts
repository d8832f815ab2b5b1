import { canonicalBytes } from '../shared/core/canonical.ts';
import type { Clock } from '../shared/core/clock.ts';
import { TacitError } from '../shared/core/errors.ts';
import { sha256Hex } from '../shared/core/hash.ts';
import type { BudgetProjection } from '../shared/ledger/budget.ts';
import { openingOperation, refused } from '../shared/ledger/budget-book.ts';
import { APPROVALS, budgetProblem } from '../shared/ledger/budget-rules.ts';
import type { ApproverChange, BudgetOpening } from '../shared/ledger/entries.ts';
import type { BudgetErrorCode } from '../shared/ledger/errors.ts';
import type { Ledger } from '../shared/ledger/log.ts';
import { verifyStatement } from '../shared/ledger/statement.ts';
import type { ProtocolErrorCode } from '../shared/protocol/errors.ts';
import type { PolicyView, ProposalView } from '../shared/protocol/views.ts';
import { EventLog } from '../shared/store/log.ts';
import type { Store } from '../shared/store/port.ts';
import { setApprovers } from './approvers.ts';
import type { BudgetBoard } from './budget-board.ts';
import { type Approval, openingEntry } from './budget-opening.ts';

export type ApprovalErrorCode =
  /** The signature is not one of this key over this document. */
  | 'APPROVAL_INVALID'
  /** This key has signed it already: two people are two keys. */
  | 'APPROVAL_DUPLICATE'
  | 'APPROVER_NOT_IN_OFFICE'
  | 'PROPOSALS_FULL';

/** Proposals that wait at once. */
export const MAX_WAITING_PROPOSALS = 50;
/** Proposals in a view, newest first. */
const SHOWN = 100;

type PolicyEvent =
  | { readonly kind: 'propose'; readonly id: string; readonly at: string; readonly opening: BudgetOpening }
  | { readonly kind: 'approve'; readonly id: string; readonly approval: Approval }
  | { readonly kind: 'withdraw'; readonly id: string };

interface Proposal {
  readonly id: string;
  readonly at: string;
  readonly opening: BudgetOpening;
  readonly approvals: Approval[];
}

export type ProposedOpening = Omit<BudgetOpening, 'revision'> & { readonly revision?: number | undefined };

/**
 * Where openings of budgets wait for their signatures. It decides nothing that the ledger does not decide again: a proposal
 * opens through the same rules as any other entry, and what waits here has no effect. Calls run one after the other.
 */
export class PolicyDesk {
  readonly #store: Store;
  readonly #ledger: Ledger;
  readonly #budgets: BudgetBoard;
  readonly #clock: Clock;
  #log: EventLog<PolicyEvent> | undefined;
  readonly #proposals = new Map<string, Proposal>();
  #tail: Promise<unknown> = Promise.resolve();

  constructor(store: Store, ledger: Ledger, budgets: BudgetBoard, clock: Clock) {
    this.#store = store;
    this.#ledger = ledger;
    this.#budgets = budgets;
    this.#clock = clock;
  }

  /** Reads what waits, and opens what was signed in full when the last process ended. */
  resume(): Promise<void> {
    return this.#inTurn(async () => undefined);
  }

  view(): Promise<PolicyView> {
    return this.#inTurn(async () => {
      const state = await this.#budgets.state();
      const newest = [...this.#proposals.values()].reverse().slice(0, SHOWN);
      const { approvers, approverRevision } = state;
      return { approvers, revision: approverRevision, proposals: newest.map((p) => this.#viewOf(p, state)) };
    });
  }

  /** Puts a list of approvers in force. @throws BUDGET_UNAPPROVED, BUDGET_STATE */
  setApprovers(change: ApproverChange, approvals: readonly Approval[]): Promise<{ readonly index: number }> {
    return this.#inTurn(() => setApprovers(this.#ledger, change, approvals));
  }

  /**
   * Puts an opening up for signatures; without a revision it is for the budget as it stands. Twice the same is once.
   * @throws BUDGET_STATE when no signatures could open it, PROPOSALS_FULL
   */
  propose(proposed: ProposedOpening): Promise<ProposalView> {
    return this.#inTurn(async () => {
      const state = await this.#budgets.state();
      const opening = { ...proposed, revision: proposed.revision ?? state.revision(proposed.budget) };
      const id = sha256Hex(canonicalBytes(opening));
      const known = this.#proposals.get(id);
      if (known !== undefined) return this.#viewOf(known, state);
      const problem = budgetProblem(state, openingEntry(opening, []));
      if (problem !== undefined && problem.code !== 'BUDGET_UNAPPROVED') throw refused(problem);
      const waiting = [...this.#proposals.values()].filter((p) => this.#stateOf(p, state) === 'waiting');
      if (waiting.length >= MAX_WAITING_PROPOSALS) throw full();
      await this.#record({ kind: 'propose', id, at: new Date(this.#clock.now()).toISOString(), opening });
      return this.#viewOf(this.#known(id), state);
    });
  }

  /**
   * Adds one person's signature; the one that completes it opens the budget.
   * @throws NOT_FOUND, BUDGET_STATE, APPROVAL_INVALID, APPROVAL_DUPLICATE, APPROVER_NOT_IN_OFFICE
   */
  approve(id: string, approval: Approval): Promise<ProposalView> {
    return this.#inTurn(async () => {
      const proposal = this.#known(id);
      this.#mustCount(proposal, approval, await this.#budgets.state());
      await this.#record({ kind: 'approve', id, approval });
      await this.#settle(proposal);
      return this.#viewOf(proposal, await this.#budgets.state());
    });
  }

  /** Takes a proposal away with its signatures; one that opened stays to be seen. @throws NOT_FOUND, BUDGET_STATE */
  withdraw(id: string): Promise<void> {
    return this.#inTurn(async () => {
      const state = this.#stateOf(this.#known(id), await this.#budgets.state());
      if (state === 'opened') throw decided(`proposal ${id}`);
      await this.#record({ kind: 'withdraw', id });
    });
  }

  #mustCount({ id, opening, approvals }: Proposal, approval: Approval, state: BudgetProjection): void {
    const where = `proposal ${id}`;
    if (state.revision(opening.budget) !== opening.revision) throw decided(where);
    if (!mayApprove(state, approval.publicKey))
      throw new TacitError<ApprovalErrorCode>('APPROVER_NOT_IN_OFFICE', 'this key may not approve budgets', {
        where,
        fix: 'Sign with the key of an approver in office; "tacit approver list" names them.',
      });
    if (!verifyStatement('budget.open', opening, approval.publicKey, approval.signature))
      throw new TacitError<ApprovalErrorCode>(
        'APPROVAL_INVALID',
        'the signature is not of this key over this document',
        {
          where,
          fix: 'Sign exactly the proposed document: download it and run "tacit budget approve" on it.',
        },
      );
    if (approvals.some((a) => a.publicKey === approval.publicKey))
      throw new TacitError<ApprovalErrorCode>('APPROVAL_DUPLICATE', 'this key has signed the proposal already', {
        where,
        fix: 'A second person has to sign, with another key.',
      });
  }

  /** Opens it if the ledger's own rules let it. */
  async #settle({ opening, approvals }: Proposal): Promise<void> {
    const entry = openingEntry(opening, approvals);
    if (budgetProblem(await this.#budgets.state(), entry) !== undefined) return;
    await this.#budgets.open(entry);
    await this.#ledger.checkpoint();
  }

  async #load(): Promise<EventLog<PolicyEvent>> {
    const { log, events } = await EventLog.open<PolicyEvent>(this.#store, 'policy');
    for (const event of events) this.#apply(event);
    for (const proposal of this.#proposals.values()) await this.#settle(proposal);
    return log;
  }

  async #record(event: PolicyEvent): Promise<void> {
    await this.#log?.append(event);
    this.#apply(event);
  }

  #apply(event: PolicyEvent): void {
    if (event.kind === 'propose')
      this.#proposals.set(event.id, { id: event.id, at: event.at, opening: event.opening, approvals: [] });
    else if (event.kind === 'approve') this.#proposals.get(event.id)?.approvals.push(event.approval);
    else this.#proposals.delete(event.id);
  }

  #known(id: string): Proposal {
    const proposal = this.#proposals.get(id);
    if (proposal !== undefined) return proposal;
    throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'there is no such proposal', {
      where: `proposal ${id.slice(0, 64)}`,
      fix: 'GET /api/v1/budgets/proposals lists them.',
    });
  }

  #stateOf({ opening }: Proposal, state: BudgetProjection): ProposalView['state'] {
    if (this.#ledger.operation(openingOperation(opening)) !== undefined) return 'opened';
    return state.revision(opening.budget) === opening.revision ? 'waiting' : 'outdated';
  }

  #viewOf(proposal: Proposal, state: BudgetProjection): ProposalView {
    const { id, opening, approvals, at } = proposal;
    return {
      id,
      opening,
      proposedAt: at,
      state: this.#stateOf(proposal, state),
      needed: APPROVALS[state.authority],
      approvals: approvals.map((a) => ({
        ...a,
        approver: state.approvers.find((known) => known.publicKey === a.publicKey)?.name ?? a.approver,
        counts: mayApprove(state, a.publicKey),
      })),
      ledgerIndex: this.#ledger.operation(openingOperation(opening)) ?? null,
    };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#tail.then(async () => {
      this.#log ??= await this.#load();
      return work();
    });
    this.#tail = done.catch(() => undefined);
    return done;
  }
}

function mayApprove(state: BudgetProjection, publicKey: string): boolean {
  return state.approvers.length === 0 || state.approvers.some((known) => known.publicKey === publicKey);
}

function decided(where: string): TacitError<BudgetErrorCode> {
  return new TacitError<BudgetErrorCode>('BUDGET_STATE', 'the proposal is decided: the budget changed since', {
    where,
    fix: 'Propose it anew for the budget as it stands.',
  });
}

function full(): TacitError<ApprovalErrorCode> {
  return new TacitError<ApprovalErrorCode>('PROPOSALS_FULL', `${MAX_WAITING_PROPOSALS} proposals wait already`, {
    fix: 'Have them signed, or withdraw them.',
  });
}
