import { canonicalBytes } from '../../shared/core/canonical.ts';
import type { Clock } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import type { BudgetProjection } from '../../shared/ledger/budget.ts';
import { refused } from '../../shared/ledger/budget-book.ts';
import type { ApproverChange, BudgetOpening } from '../../shared/ledger/entries.ts';
import type { BudgetErrorCode } from '../../shared/ledger/errors.ts';
import type { Handover } from '../../shared/ledger/key-chain.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import { verifyStatement } from '../../shared/ledger/statement.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { PolicyView, ProposalView, ProposedDocument } from '../../shared/protocol/views.ts';
import { EventLog } from '../../shared/store/log.ts';
import type { Store } from '../../shared/store/port.ts';
import { rotateApprover, setApprovers } from './approvers.ts';
import type { BudgetBoard } from './budget-board.ts';
import { type Approval, openingEntry } from './budget-opening.ts';
import { type PolicyEvent, policyEvent } from './policy-events.ts';
import {
  expiryOf,
  isCurrent,
  mayApprove,
  neededFor,
  operationOf,
  PROPOSAL_DAYS,
  type Proposal,
  problemWith,
} from './proposals.ts';

export type ApprovalErrorCode =
  /** The signature is not one of this key over this document. */
  | 'APPROVAL_INVALID'
  /** This key has signed it already: two people are two keys. */
  | 'APPROVAL_DUPLICATE'
  | 'APPROVER_NOT_IN_OFFICE'
  | 'PROPOSALS_FULL'
  | 'PROPOSAL_EXPIRED';

/** Proposals that wait at once. */
export const MAX_WAITING_PROPOSALS = 50;
/** Proposals in a view, newest first. */
const SHOWN = 100;

export type ProposedOpening = Omit<BudgetOpening, 'revision'> & { readonly revision?: number | undefined };
export type ProposedApprovers = Omit<ApproverChange, 'revision'> & { readonly revision?: number | undefined };

/**
 * Where openings of budgets and changes of the approvers wait for signatures. It decides nothing that the ledger does not
 * decide again: a proposal takes effect through the same rules as any other entry, and what waits here has no effect. Calls run one after the other.
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

  /** An approver's own change of key: both their keys have signed it. @see rotateApprover */
  rotateApprover(handover: Handover): Promise<{ readonly index: number }> {
    return this.#inTurn(() => rotateApprover(this.#ledger, handover));
  }

  /**
   * Puts an opening up for signatures; without a revision it is for the budget as it stands. Twice the same is once.
   * @throws BUDGET_STATE when no signatures could open it, PROPOSALS_FULL
   */
  propose(proposed: ProposedOpening): Promise<ProposalView> {
    return this.#inTurn(async () => {
      const revision = proposed.revision ?? (await this.#budgets.state()).revision(proposed.budget);
      return this.#putUp({ kind: 'budget.open', document: { ...proposed, revision } });
    });
  }

  /**
   * Puts a new list of approvers up for the signatures of those in office; the first list needs none.
   * @throws BUDGET_STATE, PROPOSALS_FULL
   */
  proposeApprovers({ approvers, revision }: ProposedApprovers): Promise<ProposalView> {
    return this.#inTurn(async () => {
      const change = { approvers, revision: revision ?? (await this.#budgets.state()).approverRevision };
      return this.#putUp({ kind: 'approvers', document: change });
    });
  }

  /**
   * Adds one person's signature; the one that completes it puts it in force.
   * @throws NOT_FOUND, BUDGET_STATE, PROPOSAL_EXPIRED, APPROVAL_INVALID, APPROVAL_DUPLICATE, APPROVER_NOT_IN_OFFICE
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

  /** Takes a proposal away with its signatures; one that is in force stays to be seen. @throws NOT_FOUND, BUDGET_STATE */
  withdraw(id: string): Promise<void> {
    return this.#inTurn(async () => {
      const state = this.#stateOf(this.#known(id), await this.#budgets.state());
      if (state === 'accepted') throw decided(`proposal ${id}`);
      await this.#record({ kind: 'withdraw', id });
    });
  }

  async #putUp(proposed: ProposedDocument): Promise<ProposalView> {
    const state = await this.#budgets.state();
    const id = sha256Hex(canonicalBytes(proposed.document));
    const known = this.#proposals.get(id);
    if (known !== undefined && this.#stateOf(known, state) !== 'expired') return this.#viewOf(known, state);
    const problem = problemWith(proposed, state, []);
    if (problem !== undefined && problem.code !== 'BUDGET_UNAPPROVED') throw refused(problem);
    const waiting = [...this.#proposals.values()].filter((p) => this.#stateOf(p, state) === 'waiting');
    if (waiting.length >= MAX_WAITING_PROPOSALS) throw full();
    const at = new Date(this.#clock.now()).toISOString();
    if (proposed.kind === 'budget.open') await this.#record({ kind: 'propose', id, at, opening: proposed.document });
    else await this.#record({ kind: 'proposeApprovers', id, at, change: proposed.document });
    await this.#settle(this.#known(id));
    return this.#viewOf(this.#known(id), await this.#budgets.state());
  }

  #mustCount(proposal: Proposal, approval: Approval, state: BudgetProjection): void {
    const where = `proposal ${proposal.id}`;
    if (!isCurrent(proposal, state)) throw decided(where);
    if (this.#stateOf(proposal, state) === 'expired')
      throw new TacitError<ApprovalErrorCode>(
        'PROPOSAL_EXPIRED',
        `the proposal waited for more than ${PROPOSAL_DAYS} days`,
        { where, fix: 'Propose it anew; earlier signatures do not count then.' },
      );
    if (!mayApprove(state, approval.publicKey))
      throw new TacitError<ApprovalErrorCode>('APPROVER_NOT_IN_OFFICE', 'this key is not an approver’s', {
        where,
        fix: 'Sign with the key of an approver in office; "tacit approver list" names them.',
      });
    if (!verifyStatement(proposal.kind, proposal.document, approval.publicKey, approval.signature))
      throw new TacitError<ApprovalErrorCode>(
        'APPROVAL_INVALID',
        'the signature is not of this key over this document',
        {
          where,
          fix: 'Sign exactly the proposed document: download it and run "tacit budget approve" or "tacit approver approve" on it.',
        },
      );
    if (proposal.approvals.some((a) => a.publicKey === approval.publicKey))
      throw new TacitError<ApprovalErrorCode>('APPROVAL_DUPLICATE', 'this key has signed the proposal already', {
        where,
        fix: 'A second person has to sign, with another key.',
      });
  }

  /** Puts it in force if the ledger's own rules let it. */
  async #settle(proposal: Proposal): Promise<void> {
    const { approvals } = proposal;
    const state = await this.#budgets.state();
    if (this.#stateOf(proposal, state) !== 'waiting' || problemWith(proposal, state, approvals) !== undefined) return;
    if (proposal.kind === 'approvers') {
      await setApprovers(this.#ledger, proposal.document, approvals);
    } else {
      await this.#budgets.open(openingEntry(proposal.document, approvals));
      await this.#ledger.checkpoint();
    }
  }

  async #load(): Promise<EventLog<PolicyEvent>> {
    const { log, events } = await EventLog.open(this.#store, 'policy', policyEvent);
    for (const event of events) this.#apply(event);
    for (const proposal of this.#proposals.values()) await this.#settle(proposal);
    return log;
  }

  async #record(event: PolicyEvent): Promise<void> {
    await this.#log?.append(event);
    this.#apply(event);
  }

  #apply(event: PolicyEvent): void {
    if (event.kind === 'propose') this.#put(event, { kind: 'budget.open', document: event.opening });
    else if (event.kind === 'proposeApprovers') this.#put(event, { kind: 'approvers', document: event.change });
    else if (event.kind === 'approve') this.#proposals.get(event.id)?.approvals.push(event.approval);
    else this.#proposals.delete(event.id);
  }

  /** Newest last, also when an expired one is proposed again. */
  #put({ id, at }: { readonly id: string; readonly at: string }, proposed: ProposedDocument): void {
    this.#proposals.delete(id);
    this.#proposals.set(id, { id, at, approvals: [], ...proposed });
  }

  #known(id: string): Proposal {
    const proposal = this.#proposals.get(id);
    if (proposal !== undefined) return proposal;
    throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'there is no such proposal', {
      where: `proposal ${id.slice(0, 64)}`,
      fix: 'GET /api/v1/budgets/proposals lists them.',
    });
  }

  #stateOf(proposal: Proposal, state: BudgetProjection): ProposalView['state'] {
    if (this.#ledger.operation(operationOf(proposal)) !== undefined) return 'accepted';
    if (!isCurrent(proposal, state)) return 'outdated';
    return this.#clock.now() < expiryOf(proposal) ? 'waiting' : 'expired';
  }

  #viewOf(proposal: Proposal, state: BudgetProjection): ProposalView {
    const { approvals, at, ...proposed } = proposal;
    const [now, needed] = [this.#stateOf(proposal, state), neededFor(proposal, state)];
    return {
      ...proposed,
      proposedAt: at,
      expiresAt: new Date(expiryOf(proposal)).toISOString(),
      state: now,
      needed: now === 'accepted' ? Math.min(needed, approvals.length) : needed,
      approvals: approvals.map((a) => ({
        ...a,
        approver: state.approvers.find((known) => known.publicKey === a.publicKey)?.name ?? a.approver,
        counts: mayApprove(state, a.publicKey),
      })),
      ledgerIndex: this.#ledger.operation(operationOf(proposal)) ?? null,
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

function decided(where: string): TacitError<BudgetErrorCode> {
  return new TacitError<BudgetErrorCode>('BUDGET_STATE', 'the proposal is decided: what it changes was changed since', {
    where,
    fix: 'Propose it anew for what stands now.',
  });
}

function full(): TacitError<ApprovalErrorCode> {
  return new TacitError<ApprovalErrorCode>('PROPOSALS_FULL', `${MAX_WAITING_PROPOSALS} proposals wait already`, {
    fix: 'Have them signed, or withdraw them.',
  });
}
