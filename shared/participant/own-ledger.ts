import { base64, hex, utf8 } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { TacitError } from '../core/errors.ts';
import type { Signer } from '../core/signing.ts';
import { BudgetBook } from '../ledger/budget-book.ts';
import { peekCheckpoint } from '../ledger/checkpoint.ts';
import { clientLogName, clientOfLog } from '../ledger/client-name.ts';
import { decimal } from '../ledger/decimal.ts';
import type { BudgetKey, EntryInput } from '../ledger/entries.ts';
import type { Handover } from '../ledger/key-chain.ts';
import { type Ledger, openLedger } from '../ledger/log.ts';
import { leafHash } from '../ledger/merkle.ts';
import { signStatement } from '../ledger/statement.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { clientIdOf } from '../protocol/messages.ts';
import { type PrivacyPromise, promiseOf, requirePromise } from '../protocol/plan.ts';
import type { Terms } from '../protocol/terms.ts';
import type { Store } from '../store/port.ts';
import type { SeenEntry } from './ledger-witness.ts';
import type { Policy } from './policy.ts';

/** What the site tells the coordinator: it saw this charge in its place. */
export type Countersignature = Omit<EntryInput<'countersignature'>, 'kind'>;

/** Stream of a site's own ledger in its store. */
export const OWN_LEDGER_STREAM = 'own-ledger';

/**
 * The site's own account of its own data, in the same format and from the same code as the coordinator's. What a run may
 * spend is set aside here before the site consents, and the coordinator's charge must be exactly that.
 */
export class OwnLedger {
  readonly #ledger: Ledger;
  readonly #book: BudgetBook;
  readonly #signer: Signer;
  readonly #clientId: string;

  private constructor(ledger: Ledger, signer: Signer, clientId: string) {
    this.#ledger = ledger;
    this.#book = new BudgetBook(ledger, 'own-data');
    this.#signer = signer;
    this.#clientId = clientId;
  }

  /** @throws LEDGER_KEY_UNKNOWN when it was signed by a key that did not hand over to this one */
  static async open(options: {
    readonly store: Store;
    readonly signer: Signer;
    readonly clock: Clock;
  }): Promise<OwnLedger> {
    const { store, signer, clock } = options;
    const origin = await ownOrigin(store, signer.publicKey);
    const ledger = await openLedger({ store, stream: OWN_LEDGER_STREAM, origin, signer, clock });
    return new OwnLedger(ledger, signer, clientOfLog(origin) as string);
  }

  /** Of the site's first key: it stays when the key changes. */
  get clientId(): string {
    return this.#clientId;
  }

  /** Changes of the site's key, oldest first: what a coordinator that knew an earlier one has to see. */
  get handovers(): readonly Handover[] {
    return this.#ledger.keys.handovers;
  }

  /** ε that is spent or set aside on this data in this period. */
  async agreedEpsilon(budget: BudgetKey): Promise<number> {
    const status = (await this.#book.status()).find(
      ({ budget: b }) => b.scope === budget.scope && b.unit === budget.unit && b.period === budget.period,
    );
    return status === undefined ? 0 : status.spent + status.reserved;
  }

  /**
   * Sets a plan's whole budget aside; nothing for a plan that promises nothing. Saying it again for the same run changes nothing.
   * @throws BUDGET_EXCEEDED when the policy's budget for the period does not hold it any more
   */
  async setAside(run: string, terms: Terms, policy: Policy): Promise<void> {
    const promise = promiseOf(terms.plan);
    if (promise === undefined) return;
    const budget = budgetOf(promise);
    await this.#agreeWithPolicy(budget, policy);
    const { epsilon, delta } = promise;
    await this.#book.reserve({
      kind: 'reserve',
      reservation: `run/${run}`,
      run,
      planHash: terms.planHash,
      budgets: [budget],
      epsilon: decimal(epsilon),
      delta: decimal(delta),
    });
    await this.#ledger.checkpoint();
  }

  /**
   * Takes in the coordinator's reservation for the run, found in its ledger, and answers for it.
   * @throws LEDGER_DISAGREES when it is not what was set aside here
   */
  async countersign(run: string, terms: Terms, seen: SeenEntry, origin: string): Promise<Countersignature> {
    const promise = requirePromise(terms.plan);
    const budget = budgetOf(promise);
    const { epsilon, delta } = promise;
    const { entry, index } = seen;
    const same =
      entry.kind === 'reserve' &&
      entry['run'] === run &&
      entry['planHash'] === terms.planHash &&
      entry['epsilon'] === decimal(epsilon) &&
      entry['delta'] === decimal(delta);
    if (!same)
      throw new TacitError<ProtocolErrorCode>(
        'LEDGER_DISAGREES',
        'the coordinator reserved something else than this site set aside',
        { where: `entry ${index}` },
      );
    const leaf = hex(leafHash(utf8(seen.text)));
    const { size, root } = seen;
    const operation = `charge/${run}`;
    // After a reconnection the same reservation is seen under a larger tree; the first sight stands.
    if (this.#ledger.operation(operation) === undefined) {
      await this.#ledger.append(
        {
          kind: 'charge',
          run,
          reservation: `run/${run}`,
          budget,
          epsilon: decimal(epsilon),
          delta: decimal(delta),
          origin,
          index,
          leafHash: leaf,
          size,
          root,
        },
        operation,
      );
      await this.#ledger.checkpoint();
    }
    const document = { clientId: this.#clientId, origin, index, leafHash: leaf };
    const signature = signStatement('countersignature', document, this.#signer);
    return { clientId: this.#clientId, publicKey: base64(this.#signer.publicKey), document, signature };
  }

  /** The run is over for this site: what was set aside is spent if anything was revealed, given back otherwise. Said once. */
  async close(
    run: string,
    terms: Terms,
    { revealed, ...end }: Pick<EntryInput<'plan.close'>, 'outcome' | 'reason' | 'revealed' | 'roundsReleased'>,
  ): Promise<void> {
    const promise = promiseOf(terms.plan);
    if (promise === undefined) return;
    const { epsilon, delta } = promise;
    if (this.#ledger.operation(`plan.close/${run}`) === undefined) {
      await this.#book.close({
        kind: 'plan.close',
        run,
        reservation: `run/${run}`,
        ...end,
        revealed,
        epsilon: revealed ? decimal(epsilon) : '0',
        delta: revealed ? decimal(delta) : '0',
        modelHash: null,
      });
    }
    await this.#ledger.checkpoint();
  }

  /** The policy says how much may be spent in a period; raising and lowering it are entries. */
  async #agreeWithPolicy(budget: BudgetKey, policy: Policy): Promise<void> {
    const epsilon = policy.maximumEpsilonPerPeriod;
    const total = (await this.#book.status()).find(
      (s) => s.budget.scope === budget.scope && s.budget.unit === budget.unit && s.budget.period === budget.period,
    );
    if (total !== undefined && total.epsilon === epsilon) return;
    const revision = await this.#book.revision(budget);
    if (total !== undefined && epsilon < total.epsilon) {
      await this.#book.lower(
        {
          kind: 'budget.lower',
          budget,
          epsilon: decimal(epsilon),
          delta: decimal(total.delta),
          reason: 'the policy was tightened',
        },
        `${revision}`,
      );
      return;
    }
    // δ adds up over the plans of a period; a tenth of one percent is far above any sum of sensible plans.
    const opening = {
      budget,
      epsilon: decimal(epsilon),
      delta: '0.001',
      revision,
      purpose: 'what this site lets plans spend on its data',
      legalBasis: 'the policy file of this site',
    };
    const approval = {
      approver: clientLogName(this.#clientId),
      publicKey: base64(this.#signer.publicKey),
      signature: signStatement('budget.open', opening, this.#signer),
    };
    await this.#book.open({ kind: 'budget.open', opening, authority: 'own-data', approvals: [approval] });
  }
}

/** Origin of the site's own ledger: that of the first key, once anything was signed. */
export async function ownOrigin(store: Store, publicKey: Uint8Array): Promise<string> {
  const [first] = await store.read(`${OWN_LEDGER_STREAM}/checkpoints`, 0, 1);
  if (first === undefined) return clientLogName(clientIdOf(publicKey));
  return peekCheckpoint((JSON.parse(first.text) as { note: string }).note).origin;
}

function budgetOf({ scope, unit, period }: PrivacyPromise): BudgetKey {
  return { scope, unit, period };
}
