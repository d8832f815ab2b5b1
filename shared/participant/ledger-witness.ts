import { base64, fromBase64, hex, utf8 } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { TacitError } from '../core/errors.ts';
import type { Signer } from '../core/signing.ts';
import { peekCheckpoint } from '../ledger/checkpoint.ts';
import { clientLogName } from '../ledger/client-name.ts';
import { ALGORITHM, formatVkey, verifierKey } from '../ledger/keys.ts';
import { leafHash, verifyInclusion } from '../ledger/merkle.ts';
import { witnessCheckpoint } from '../ledger/witness.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { type Cosign, type LedgerProof, ledgerProofSchema, parseMessage } from '../protocol/messages.ts';
import type { ParticipantMemory } from './memory.ts';

/** What a verified proof says. */
export interface SeenEntry {
  readonly index: number;
  readonly size: number;
  /** Hex of the root. */
  readonly root: string;
  /** The entry, parsed from exactly the bytes that the tree covers. */
  readonly entry: { readonly kind: string } & Readonly<Record<string, unknown>>;
  /** The entry's stored bytes as text. */
  readonly text: string;
  readonly cosign: Cosign;
  /** The checkpoint is news: nothing larger or equal was seen before. */
  readonly extended: boolean;
}

/**
 * Watches the coordinator's ledger for a participant: every checkpoint must extend the one seen before, and what was seen
 * is durable before the cosignature leaves. A fork or a rollback ends the session.
 */
export class LedgerWitness {
  readonly #memory: ParticipantMemory;
  /** Oldest first; only the last one signs checkpoints that are new. */
  readonly #serverKeys: readonly Uint8Array[];
  readonly #signer: Signer;
  readonly #clock: Clock;
  readonly #name: string;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: {
    readonly memory: ParticipantMemory;
    /** The coordinator's keys, the present one last. */
    readonly serverKeys: readonly Uint8Array[];
    readonly signer: Signer;
    readonly clock: Clock;
    readonly clientId: string;
  }) {
    this.#memory = options.memory;
    this.#serverKeys = options.serverKeys;
    this.#signer = options.signer;
    this.#clock = options.clock;
    this.#name = clientLogName(options.clientId);
  }

  /** Size of the coordinator's ledger that was verified last. */
  get seenSize(): number {
    return this.#memory.seen(this.#serverKeys)?.size ?? 0;
  }

  /**
   * @param proof - as received, attacker-controlled
   * @param refetch - asks for a proof that starts where this witness stands
   * @throws LEDGER_DISAGREES with the cause when anything does not follow from what was seen
   */
  check(proof: unknown, refetch: (size: number, index: number) => Promise<unknown>): Promise<SeenEntry> {
    // One after the other: what a proof starts from must not move while it is being checked.
    const mine = this.#turn.then(() => this.#check(proof, refetch));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #check(proof: unknown, refetch: (size: number, index: number) => Promise<unknown>): Promise<SeenEntry> {
    let parsed = parseMessage(ledgerProofSchema, proof, 'ledger proof');
    const size = peekSize(parsed);
    // Behind what was seen, from another place, or without the proof that leads here: ask for one that does.
    const leadsHere = parsed.since === this.seenSize && size >= this.seenSize;
    const proven = size === this.seenSize || this.seenSize === 0 || parsed.consistency.length > 0;
    if (!leadsHere || !proven) {
      parsed = parseMessage(ledgerProofSchema, await refetch(this.seenSize, parsed.index), 'ledger proof');
    }
    try {
      return await this.#verify(parsed);
    } catch (cause) {
      throw new TacitError<ProtocolErrorCode>(
        'LEDGER_DISAGREES',
        `the coordinator's ledger does not follow from what this site saw (${String(cause)})`,
        {
          where: `entry ${parsed.index}`,
          fix: 'Do not take part. Keep your state folder as evidence and show it to the auditor.',
          cause,
        },
      );
    }
  }

  async #verify(proof: LedgerProof): Promise<SeenEntry> {
    const serverKey = this.#serverKeys.at(-1) as Uint8Array;
    const key = hex(serverKey);
    const { origin } = peekCheckpoint(proof.checkpoint);
    const last = this.#memory.seen(this.#serverKeys);
    const {
      line,
      key: own,
      seen,
      extended,
    } = witnessCheckpoint({
      lastSeen: last === undefined ? undefined : { size: last.size, root: fromBase64(last.root) },
      checkpoint: proof.checkpoint,
      proof: proof.consistency.map(fromBase64),
      logKey: verifierKey(origin, ALGORITHM.ed25519, serverKey),
      name: this.#name,
      signer: this.#signer,
      clock: this.#clock,
    });
    verifyInclusion(proof.index, seen.size, leafHash(utf8(proof.entry)), proof.inclusion.map(fromBase64), seen.root);
    const root = base64(seen.root);
    if (extended) await this.#memory.record({ type: 'seen', key, size: seen.size, root, checkpoint: proof.checkpoint });
    const entry = JSON.parse(proof.entry) as SeenEntry['entry'];
    return {
      index: proof.index,
      size: seen.size,
      root: hex(seen.root),
      entry,
      text: proof.entry,
      extended,
      cosign: { checkpointSize: seen.size, line, vkey: formatVkey(own) },
    };
  }
}

function peekSize(proof: LedgerProof): number {
  try {
    return peekCheckpoint(proof.checkpoint).size;
  } catch {
    return -1;
  }
}
