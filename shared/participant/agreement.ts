import { base64 } from '../core/bytes.ts';
import { isoTime } from '../core/clock.ts';
import { TacitError } from '../core/errors.ts';
import { signStatement, verifyStatement } from '../ledger/statement.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import type { Consent, Refusal, Welcome } from '../protocol/messages.ts';
import { type Plan, promiseOf } from '../protocol/plan.ts';
import type { RunView } from '../protocol/views.ts';
import type { TextRecord } from '../text/record.ts';
import { unitsOf } from '../training/units.ts';
import type { ParticipantEvent } from './events.ts';
import { sentItems } from './items.ts';
import type { SeenEntry } from './ledger-witness.ts';
import type { ParticipantMemory } from './memory.ts';
import type { ParticipantOptions, SiteAnswer } from './options.ts';
import type { OwnLedger } from './own-ledger.ts';
import { enforcePolicy, type Policy, policyHash } from './policy.ts';
import { type Absence, absenceNow } from './sit-out.ts';

interface AgreementOptions {
  readonly site: Pick<ParticipantOptions, 'answer' | 'clock' | 'engineName' | 'signer' | 'withdraw'>;
  readonly memory: ParticipantMemory;
  readonly own: OwnLedger;
  request(name: string, payload: unknown): Promise<unknown>;
  /** Verifies a proof of the coordinator's ledger. */
  check(proof: unknown): Promise<SeenEntry>;
  emit(event: ParticipantEvent): void;
}

/** This site's yes or no to one plan, under its own policy and on its own account, and the settling of that account. */
export class Agreement {
  readonly #o: AgreementOptions;
  #answer: SiteAnswer | undefined;

  constructor(options: AgreementOptions) {
    this.#o = options;
  }

  /**
   * Asks the site once in the life of a process. What a plan may spend is set aside before anyone hears of a consent.
   * @param ready - prepares training; the coordinator hears of the consent only after it
   * @returns true when this site agreed, now or before
   * @throws PLAN_CLAIM_FALSE when the plan changed after this site consented to it
   */
  async reach(welcome: Welcome, ready: (answer: SiteAnswer) => Promise<void>): Promise<boolean> {
    const { memory, request, emit } = this.#o;
    const { run, terms } = welcome;
    const withdrawal = memory.withdrawal(run.id) ?? (await this.#withdraw(welcome));
    if (withdrawal !== undefined) {
      await this.#settle(welcome, withdrawal);
      return this.#sayNo(this.#signAgain('refusal', withdrawal));
    }
    const before = memory.consent(run.id);
    if (before !== undefined && before.planHash !== terms.planHash) {
      throw new TacitError<ProtocolErrorCode>('PLAN_CLAIM_FALSE', 'the plan changed after this site consented to it', {
        where: run.id,
      });
    }
    const answer = await this.#ask(welcome, before !== undefined);
    if (answer instanceof TacitError) return this.#refuse(run.id, terms.planHash, answer);
    const consent = before === undefined ? this.#sign(welcome, answer) : this.#signAgain('consent', before.consent);
    if (before === undefined)
      await memory.record({ type: 'consented', run: run.id, planHash: terms.planHash, consent });
    await ready(answer);
    const receipt = await request('consent', consent);
    await this.#countersign(welcome);
    if (before === undefined) emit({ kind: 'consented', receipt });
    return true;
  }

  /** Why this site's own rules or account keep it from training now; undefined: nothing does. */
  async absence({ terms }: Welcome): Promise<Absence | undefined> {
    const { own, site } = this.#o;
    const promise = promiseOf(terms.plan);
    const agreed = promise === undefined ? 0 : await own.agreedEpsilon(promise);
    return absenceNow(this.#answer?.policy, agreed, site.clock.now());
  }

  /** The run is over: what was set aside is spent or given back. */
  async close(run: RunView, { terms }: Welcome): Promise<void> {
    const { memory, own } = this.#o;
    const roundsReleased = releasedIn(run);
    if (memory.consent(run.id) !== undefined)
      await own.close(run.id, terms, {
        roundsReleased,
        // The coordinator says what was released; that shares left this site it knows itself.
        revealed: roundsReleased > 0 || memory.answeredIn(run.id),
        outcome: 'finished',
        reason: null,
      });
  }

  /**
   * Takes a consent back, as freely as it was given (GDPR Art. 7(3)). On disk before it is said: from then on nothing of this site
   * enters a round.
   * @throws CONSENT_REQUIRED when there is none to take back
   */
  async #withdraw({ run, terms }: Welcome): Promise<Refusal | undefined> {
    const { memory, site } = this.#o;
    const { withdraw: reason } = site;
    if (reason === undefined) return undefined;
    if (memory.consent(run.id) === undefined) throw nothingToTakeBack(run.id);
    const refusal = this.#signNo(run.id, terms.planHash, 'CONSENT_WITHDRAWN', reason);
    await memory.record({ type: 'withdrew', run: run.id, refusal });
    return refusal;
  }

  /**
   * The account of a run whose consent was taken back, also where the process ended in between. What earlier rounds released cannot
   * be called back, so it is charged whole as soon as this site has sent anything at all.
   */
  async #settle({ run, terms }: Welcome, { reason }: Refusal): Promise<void> {
    const { memory, own } = this.#o;
    const roundsReleased = releasedIn(run);
    await own.close(run.id, terms, {
      roundsReleased,
      revealed: roundsReleased > 0 || memory.lastSession(run.id) !== undefined,
      outcome: 'stopped',
      reason: `consent withdrawn: ${reason}`,
    });
  }

  async #ask({ run, terms, about }: Welcome, consentedBefore: boolean): Promise<SiteAnswer | TacitError> {
    if (this.#answer !== undefined) return this.#answer;
    const { own, site, emit } = this.#o;
    const promise = promiseOf(terms.plan);
    const spentEpsilon = consentedBefore || promise === undefined ? 0 : await own.agreedEpsilon(promise);
    const invitation = { kind: 'invitation', about, run, items: sentItems(terms) } as const;
    if (!consentedBefore) emit(invitation);
    const answer = await site.answer(invitation, { terms, consentedBefore, spentEpsilon });
    if (answer === null) return new TacitError<ProtocolErrorCode>('CONSENT_REQUIRED', 'the participant declined');
    if (!consentedBefore) {
      try {
        enforcePolicy(answer.policy, terms.plan, spentEpsilon);
        await own.setAside(run.id, terms, answer.policy as Policy);
      } catch (error) {
        if (error instanceof TacitError) return error;
        throw error;
      }
    }
    this.#answer = answer;
    return answer;
  }

  #sign({ run, terms }: Welcome, { policy, records }: SiteAnswer): Consent {
    const { clock, engineName, signer } = this.#o.site;
    const document = {
      run: run.id,
      planHash: terms.planHash,
      policyHash: policyHash(policy as Policy),
      records: terms.plan.privacy.unit === 'client' ? null : records.length,
      units: unitCount(terms.plan, records),
      engine: engineName,
      at: isoTime(clock),
    };
    return { ...document, signature: signStatement('consent', document, signer) };
  }

  /** Word for word; under the present key when it changed since. */
  #signAgain<T extends Consent | Refusal>(kind: 'consent' | 'refusal', said: T): T {
    const { signer } = this.#o.site;
    const { signature, ...document } = said;
    const holds = verifyStatement(kind, document, base64(signer.publicKey), signature);
    return holds ? said : { ...said, signature: signStatement(kind, document, signer) };
  }

  #refuse(run: string, planHash: string, { code, message }: TacitError): Promise<false> {
    return this.#sayNo(this.#signNo(run, planHash, code, message));
  }

  #signNo(run: string, planHash: string, code: string, reason: string): Refusal {
    const { clock, signer } = this.#o.site;
    const document = { run, planHash, code, reason: reason.slice(0, 500), at: isoTime(clock) };
    return { ...document, signature: signStatement('refusal', document, signer) };
  }

  async #sayNo(refusal: Refusal): Promise<false> {
    await this.#o.request('refuse', refusal);
    const { run, code, reason } = refusal;
    this.#o.emit({ kind: 'refused', run, code, reason });
    return false;
  }

  /** Two ledgers: the coordinator's reservation for this run must be what was set aside here, and this site says that it saw it. */
  async #countersign({ run, terms, reservation, about }: Welcome): Promise<void> {
    if (promiseOf(terms.plan) === undefined) return;
    const seen = await this.#o.check(reservation);
    await this.#o.request('countersign', await this.#o.own.countersign(run.id, terms, seen, about.origin));
  }
}

export function nothingToTakeBack(where: string): TacitError<ProtocolErrorCode> {
  return new TacitError('CONSENT_REQUIRED', 'no consent was given', {
    where,
    fix: 'There is nothing to take back: nothing of this site is used.',
  });
}

function releasedIn({ stages }: RunView): number {
  return stages.reduce((n, s) => n + s.roundsDone, 0);
}

/** How many privacy units the records are: public by the consent. */
function unitCount({ privacy }: Plan, records: readonly TextRecord[]): number {
  if (privacy.unit === 'client' || privacy.unit === 'none') return 1;
  return privacy.unit === 'person' ? unitsOf(records).count : records.length;
}
