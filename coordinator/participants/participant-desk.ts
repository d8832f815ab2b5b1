import type { Logger } from 'pino';
import { base64, fromHex, hex } from '../../shared/core/bytes.ts';
import { type Clock, isoTime } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { clientLogName } from '../../shared/ledger/client-name.ts';
import { formatVkey } from '../../shared/ledger/keys.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import { verifyStatement } from '../../shared/ledger/statement.ts';
import { witnessKey } from '../../shared/ledger/witness.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type {
  Challenge,
  Consent,
  Cosign,
  Countersign,
  Hello,
  LedgerProof,
  Refusal,
  SecaggFrame,
  SitOut,
  Welcome,
} from '../../shared/protocol/messages.ts';
import type { AboutView } from '../../shared/protocol/views.ts';
import type { Connection, ParticipantHub } from '../realtime/gateway.ts';
import { ledgerProof } from '../rounds/ledger-proofs.ts';
import type { RunDriver } from '../runs/run-driver.ts';
import type { Runs } from '../runs/runs.ts';
import type { Announcements } from './announcements.ts';
import type { Participants } from './participants.ts';

interface DeskOptions {
  readonly about: AboutView;
  readonly publicKey: Uint8Array;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Logger;
  readonly participants: Participants;
  readonly runs: Runs;
  readonly announcements: Announcements;
}

/** Where participants are met: admits them, takes their signed statements into the ledger, hands their frames to their round. */
export class ParticipantDesk implements ParticipantHub {
  readonly publicKey: Uint8Array;
  readonly #o: DeskOptions;

  constructor(options: DeskOptions) {
    this.publicKey = options.publicKey;
    this.#o = options;
  }

  /** The last hundred: a client that was away for longer needs a new join code. */
  get handovers(): Challenge['handovers'] {
    return this.#o.ledger.keys.handovers.slice(-100);
  }

  async hello(hello: Hello, challenge: Challenge, connection: Connection): Promise<Welcome> {
    const { participants, runs, ledger, about } = this.#o;
    const client = await participants.admit(hello, challenge);
    const { driver } = runs.known(client.run);
    const { clientId, publicKey } = client;
    const before = driver.record.consented.get(clientId);
    if (before !== undefined && before.publicKey !== publicKey && driver.record.ended === undefined)
      await driver.append({ type: 'rekeyed', at: isoTime(this.#o.clock), clientId, publicKey });
    const { record } = driver;
    const session = participants.connect(client, connection, hello.seen);
    return {
      clientId: client.clientId,
      session,
      about,
      run: runs.view(driver),
      terms: record.terms,
      proof: await ledgerProof(ledger, record.planLedgerIndex, hello.seen),
      reservation: record.reserved === null ? null : await ledgerProof(ledger, record.reserved.index, hello.seen),
    };
  }

  /** Agreement to exactly this plan, in the ledger before it counts. Saying it again changes nothing. */
  async consent(clientId: string, consent: Consent): Promise<unknown> {
    const { client, driver } = this.#clientOf(clientId);
    const { signature, ...document } = consent;
    const publicKey = base64(fromHex(client.publicKey));
    checkStatement('consent', document, signature, publicKey, driver);
    if (driver.record.withdrawn.has(clientId)) throw withdrawn(clientId);
    const before = driver.record.consented.get(clientId);
    const { run, planHash } = consent;
    const { index } =
      before === undefined
        ? await this.#o.ledger.append(
            { kind: 'consent', run, planHash, clientId, publicKey, document, signature },
            `consent/${run}/${clientId}`,
          )
        : { index: before.ledgerIndex };
    if (before === undefined) {
      await driver.append({
        type: 'consented',
        at: isoTime(this.#o.clock),
        clientId,
        publicKey: client.publicKey,
        organisation: client.organisation,
        records: consent.records,
        units: consent.units,
        engine: consent.engine,
        ledgerIndex: index,
      });
    }
    await this.#o.announcements.rosterTo(clientId, driver.record);
    driver.greet(clientId);
    return { ...document, signature, ledgerIndex: index };
  }

  /** A "no", also one that takes a consent back: then later rounds are without this client. Saying it again changes nothing. */
  async refuse(clientId: string, refusal: Refusal): Promise<void> {
    const { client, driver } = this.#clientOf(clientId);
    const { signature, ...document } = refusal;
    const publicKey = base64(fromHex(client.publicKey));
    checkStatement('refusal', document, signature, publicKey, driver);
    const { run, planHash, code, reason } = refusal;
    const operation = `refusal/${run}/${clientId}/${refusal.at}`;
    if (this.#o.ledger.operation(operation) !== undefined && driver.record.withdrawn.has(clientId)) return;
    const statement = { publicKey, document, signature };
    await this.#o.ledger.append(
      { kind: 'refusal', run, planHash, by: clientId, code, reason, request: null, statement },
      operation,
    );
    const { organisation } = client;
    await driver.append({ type: 'refused', at: isoTime(this.#o.clock), clientId, organisation, code, reason });
    if (driver.record.withdrawn.has(clientId))
      this.#o.runs.tell('warn', `${organisation} took its consent back: ${reason}`);
  }

  /** A participant's word that it saw the reservation; an entry of its own, once a run. */
  async countersign(clientId: string, statement: Countersign): Promise<void> {
    const { client, driver } = this.#clientOf(clientId);
    const { ledger } = this.#o;
    const { document, signature } = statement;
    const publicKey = base64(fromHex(client.publicKey));
    const right =
      statement.clientId === clientId &&
      statement.publicKey === publicKey &&
      document.clientId === clientId &&
      document.origin === ledger.origin &&
      document.index === driver.record.reserved?.index &&
      document.leafHash === hex(ledger.leafHash(document.index));
    if (!right) {
      throw new TacitError<ProtocolErrorCode>(
        'MESSAGE_INVALID',
        'the countersignature is not of this run’s reservation',
        { where: 'countersign' },
      );
    }
    if (!verifyStatement('countersignature', document, publicKey, signature)) throw wronglySigned('countersign');
    const operation = `countersignature/${driver.record.id}/${clientId}`;
    // Said again, perhaps under a new key: the first one stands.
    if (ledger.operation(operation) === undefined)
      await ledger.append({ kind: 'countersignature', ...statement }, operation);
  }

  async secagg(clientId: string, frame: SecaggFrame): Promise<void> {
    const { driver } = this.#clientOf(clientId);
    if (driver.record.withdrawn.has(clientId)) throw withdrawn(clientId);
    if (!driver.record.consented.has(clientId))
      throw new TacitError<ProtocolErrorCode>('CONSENT_REQUIRED', 'consent comes first');
    await driver.receive(clientId, frame);
  }

  /** Logged here and in the run; its round does not wait for it. */
  async sitOut(clientId: string, message: SitOut): Promise<void> {
    const { client, driver } = this.#clientOf(clientId);
    const { round, attempt, code } = message;
    this.#o.log.warn({ run: client.run, clientId, round, attempt, code }, 'a participant sits this round out');
    driver.sitOut(clientId, message);
    this.#o.runs.tell('warn', `${client.organisation} sits round ${round} out: ${code}`);
  }

  async seen(clientId: string, size: number, index: number): Promise<LedgerProof> {
    this.#clientOf(clientId);
    return ledgerProof(this.#o.ledger, index, size);
  }

  async cosign(clientId: string, cosign: Cosign): Promise<void> {
    const { client } = this.#clientOf(clientId);
    const own = formatVkey(witnessKey(clientLogName(clientId), fromHex(client.publicKey)));
    if (cosign.vkey !== own)
      throw new TacitError<ProtocolErrorCode>(
        'SIGNATURE_INVALID',
        'a client cosigns in its own name, with its own key',
        {
          where: 'cosign',
        },
      );
    await this.#o.ledger.cosign(cosign);
    const live = this.#o.participants.live(clientId);
    if (live !== undefined) live.seen = Math.max(live.seen, cosign.checkpointSize);
  }

  gone(clientId: string, connection: Connection): void {
    const { participants, runs } = this.#o;
    if (!participants.disconnect(clientId, connection)) return;
    const client = participants.enrolled(clientId);
    const run = client && runs.find(client.run);
    run?.driver.session?.gone(clientId);
    if (run !== undefined) runs.changed(run.driver);
  }

  #clientOf(clientId: string) {
    const client = this.#o.participants.enrolled(clientId);
    if (client === undefined) throw new TacitError<ProtocolErrorCode>('NOT_AUTHORISED', 'say hello first');
    return { client, driver: this.#o.runs.known(client.run).driver };
  }
}

function withdrawn(clientId: string): TacitError<ProtocolErrorCode> {
  return new TacitError<ProtocolErrorCode>('CONSENT_WITHDRAWN', 'this participant took its consent to this run back', {
    where: clientId,
    fix: 'That is for good in this run; another run asks again.',
  });
}

/** @param publicKey - base64 of the enrolled key. @throws MESSAGE_INVALID, SIGNATURE_INVALID */
function checkStatement(
  kind: 'consent' | 'refusal',
  document: { readonly run: string; readonly planHash: string },
  signature: string,
  publicKey: string,
  { record }: RunDriver,
): void {
  if (document.planHash !== record.terms.planHash || document.run !== record.id) {
    throw new TacitError<ProtocolErrorCode>('MESSAGE_INVALID', 'the statement is about another run or plan', {
      where: kind,
    });
  }
  if (!verifyStatement(kind, document, publicKey, signature)) throw wronglySigned(kind);
}

function wronglySigned(where: string): TacitError<ProtocolErrorCode> {
  return new TacitError<ProtocolErrorCode>('SIGNATURE_INVALID', 'the statement is not signed by the enrolled key', {
    where,
  });
}
