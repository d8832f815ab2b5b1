import { base64, hex } from '../core/bytes.ts';
import { canonicalJson } from '../core/canonical.ts';
import { type Clock, isoTime } from '../core/clock.ts';
import { errorCode, TacitError } from '../core/errors.ts';
import type { Signer } from '../core/signing.ts';
import type { Store } from '../store/port.ts';
import { formatCheckpoint, openCheckpoint, peekCheckpoint } from './checkpoint.ts';
import { type Durable, markDurable } from './durable.ts';
import { type Entry, type EntryInput, type EntryKind, encodeEntry } from './entries.ts';
import type { LedgerErrorCode } from './errors.ts';
import { handOver } from './key-chain.ts';
import { ALGORITHM, formatVkey, parseVkey, sameKey, type VerifierKey, verifierKey } from './keys.ts';
import { formatNote, parseNote, parseSignatureLine, signLine, verifySignatureOf } from './note.ts';
import { corrupt, LedgerReader, witnessId } from './reader.ts';

export type { Durable } from './durable.ts';
export type { LedgerRecord } from './reader.ts';

export interface LedgerOptions {
  readonly store: Store;
  /** Name of the entries' stream; `<stream>/checkpoints` and `<stream>/cosignatures` stand beside it. */
  readonly stream: string;
  /** A URL without scheme; stays the same for the life of the ledger. */
  readonly origin: string;
  readonly signer: Signer;
  readonly clock: Clock;
}

/** What opening found to repair: entries that a crash left without a signed checkpoint. Also the entry `incident`. */
export interface LedgerRepair {
  /** First and last entry that no checkpoint covered. */
  readonly from: number;
  readonly to: number;
}

/** Attempts before a conflict that does not resolve is reported. */
const CONFLICT_ATTEMPTS = 1000;

/**
 * The tamper-evident log. The order is: entry durable → checkpoint durable → checkpoint published, so a reader who has a
 * checkpoint finds all it covers. Two roots for one size cannot be signed: the checkpoint of a size is one operation of the
 * store, and the store keeps the first. Several processes may write one ledger.
 */
export class Ledger extends LedgerReader {
  readonly #signer: Signer;
  readonly #clock: Clock;
  readonly key: VerifierKey;
  #repair: LedgerRepair | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(options: LedgerOptions) {
    super(options.store, options.stream, options.origin);
    this.#signer = options.signer;
    this.#clock = options.clock;
    this.key = verifierKey(options.origin, ALGORITHM.ed25519, options.signer.publicKey);
  }

  static async open(options: LedgerOptions): Promise<Ledger> {
    const ledger = new Ledger(options);
    await ledger.refresh();
    if (ledger.signedSize >= 0) await ledger.#checkKey();
    ledger.#repair = await ledger.#repairTail();
    return ledger;
  }

  /** What opening had to repair; undefined when there was nothing. */
  get repair(): LedgerRepair | undefined {
    return this.#repair;
  }

  /** The verifier key to publish: `name+keyid+base64`. */
  get vkey(): string {
    return formatVkey(this.key);
  }

  /**
   * Appends an entry and resolves once it is on stable storage. Appending again under the same `opId` gives the first one back.
   *
   * @param options.expectedSize - decide-then-append: fails when the ledger holds another number of entries
   * @throws LEDGER_ENTRY_INVALID, LEDGER_MOVED, LEDGER_OPERATION_REUSED, STORE_UNAVAILABLE
   */
  append<K extends EntryKind>(
    input: EntryInput<K>,
    opId: string,
    options: { readonly expectedSize?: number } = {},
  ): Promise<Durable<K>> {
    return this.#exclusively(async () => {
      for (let attempt = 0; ; attempt++) {
        const before = await this.#appendedBefore(input, opId);
        if (before !== undefined) return before;
        if (options.expectedSize !== undefined && options.expectedSize !== this.size)
          throw moved(options.expectedSize, this.size);
        const { entry, text } = encodeEntry(input, isoTime(this.#clock));
        if (entry.kind === 'key.rotate' && !this.keys.accepts(entry as unknown as Entry<'key.rotate'>))
          throw notInForce('this change of key is not signed by both, or not the next one', this.stream);
        const index = this.size;
        try {
          const stored = await this.store.append(this.stream, index, { opId, text });
          if (stored.seq !== index) await this.refresh();
          else this.take([stored]);
          return markDurable({ index: stored.seq, entry, leafHash: this.leafHash(stored.seq) });
        } catch (error) {
          if (errorCode(error) !== 'STORE_CONFLICT' || attempt === CONFLICT_ATTEMPTS) throw error;
          await this.refresh();
        }
      }
    });
  }

  /**
   * The checkpoint of all entries known here, signed now if it was not before, with its cosignatures.
   * @throws STORE_UNAVAILABLE, LEDGER_CORRUPT
   */
  override checkpoint(): Promise<string> {
    return this.#exclusively(async () => {
      if (this.checkpointAt(this.size) === undefined) await this.#sign(this.size);
      return super.checkpoint();
    });
  }

  /**
   * Keeps a witness's cosignature of a checkpoint that this log signed. The caller decides whether it knows the witness.
   * @throws NOTE_INVALID, NOTE_UNSIGNED, LEDGER_RANGE (no such checkpoint)
   */
  async cosign(cosignature: {
    readonly checkpointSize: number;
    readonly line: string;
    readonly vkey: string;
  }): Promise<void> {
    const { checkpointSize: size, line } = cosignature;
    const key = parseVkey(cosignature.vkey);
    const note = this.checkpointAt(size);
    if (note === undefined)
      throw new TacitError<LedgerErrorCode>('LEDGER_RANGE', `no checkpoint of size ${size} was signed`, {
        where: this.stream,
      });
    const parsed = parseSignatureLine(line);
    const problem =
      key.algorithm !== ALGORITHM.cosignature || !sameKey(key, parsed)
        ? 'the line is not by this witness key'
        : undefined;
    if (problem !== undefined) throw new TacitError<LedgerErrorCode>('NOTE_UNSIGNED', problem, { where: key.name });
    const time = verifySignatureOf(key, peekCheckpoint(note).body, parsed.signature) as number;
    if (time * 1000 > this.#clock.now() + 300_000)
      throw new TacitError<LedgerErrorCode>('NOTE_UNSIGNED', 'the cosignature is from the future', { where: key.name });
    const id = witnessId(key);
    await this.#exclusively(async () => {
      while (!this.hasCosignature(size, id)) {
        await this.#appendBeside('cosignatures', `${size}/${id}`, canonicalJson({ size, line, vkey: formatVkey(key) }));
        await this.refresh();
      }
    });
  }

  /**
   * Hands the log over to another key: an entry signed by both keys, then a checkpoint that ends with it, signed by both. From
   * then on this object signs nothing any more; open the ledger with the new key. Doing it again after a crash goes on.
   * @throws LEDGER_KEY_UNKNOWN when this key is not the one in force
   */
  async rotateKey(next: Signer, reason: string): Promise<Durable<'key.rotate'>> {
    const opId = rotationOf(next.publicKey);
    const before = this.operation(opId);
    if (before === undefined) this.#mustBeInForce(this.size);
    const earlier = before === undefined ? undefined : (await this.entry(before)).entry;
    const handover =
      earlier?.kind === 'key.rotate'
        ? { change: earlier.change, signature: earlier.signature, acceptance: earlier.acceptance }
        : handOver({ role: 'log', name: this.origin, reason }, this.#signer, next);
    const durable = await this.append({ kind: 'key.rotate', ...handover }, opId);
    const size = durable.index + 1;
    await this.#exclusively(async () => {
      if (this.checkpointAt(size) !== undefined) return;
      const nextKey = verifierKey(this.origin, ALGORITHM.ed25519, next.publicKey);
      await this.#sign(size, (body) => [signLine(body, this.key, this.#signer), signLine(body, nextKey, next)]);
    });
    return durable;
  }

  /** A key that handed over signs nothing any more, and one that nobody handed over to signs nothing yet. */
  #mustBeInForce(size: number): void {
    const inForce = this.keys.inForce(size);
    if (inForce === undefined || sameKey(inForce, this.key)) return;
    throw notInForce('another key signs this ledger by now', this.stream);
  }

  async #sign(size: number, signatures?: (body: string) => string[]): Promise<void> {
    if (signatures === undefined) this.#mustBeInForce(size);
    // Never a root that does not extend the last signed one: refresh() has compared every stored checkpoint with the tree.
    const body = formatCheckpoint({ origin: this.origin, size, root: this.root(size) });
    const note = formatNote(body, signatures?.(body) ?? [signLine(body, this.key, this.#signer)]);
    for (let attempt = 0; this.checkpointAt(size) === undefined; attempt++) {
      if (attempt === CONFLICT_ATTEMPTS) throw corrupt(`no checkpoint of size ${size} can be stored`, this.stream);
      await this.#appendBeside('checkpoints', `size/${size}`, canonicalJson({ note }));
      await this.refresh();
    }
  }

  /** One try at the head of a stream beside the entries; a lost race shows at the next refresh. */
  async #appendBeside(name: 'checkpoints' | 'cosignatures', opId: string, text: string): Promise<void> {
    const stream = `${this.stream}/${name}`;
    try {
      await this.store.append(stream, await this.store.head(stream), { opId, text });
    } catch (error) {
      if (errorCode(error) !== 'STORE_CONFLICT') throw error;
    }
  }

  async #appendedBefore<K extends EntryKind>(input: EntryInput<K>, opId: string): Promise<Durable<K> | undefined> {
    const index = this.operation(opId);
    if (index === undefined) return undefined;
    const { entry, leafHash } = await this.entry(index);
    // The time of the first append stands; everything else must be the same.
    if (canonicalJson({ ...input, version: 1, at: entry.at }) !== canonicalJson(entry)) {
      throw new TacitError<LedgerErrorCode>(
        'LEDGER_OPERATION_REUSED',
        `operation ${opId} already appended another entry (${index})`,
        { where: this.stream },
      );
    }
    return markDurable({ index, entry: entry as unknown as Entry<K>, leafHash });
  }

  /** The last checkpoint must be by this key, or by one that handed over to it. */
  async #checkKey(): Promise<void> {
    const note = await super.checkpoint();
    const mine = parseNote(note).signatures.some((s) => sameKey(s, this.key));
    const trusted = mine ? [this.key] : this.keys.linked([this.key]);
    try {
      openCheckpoint(note, { log: trusted });
      this.#mustBeInForce(this.size);
    } catch (cause) {
      throw new TacitError<LedgerErrorCode>(
        'LEDGER_KEY_UNKNOWN',
        'the stored ledger was signed by another key than the one given',
        {
          where: this.stream,
          fix: 'Start with the key file that belongs to this data directory, or append a key.rotate entry with the old key first.',
          cause,
        },
      );
    }
  }

  async #repairTail(): Promise<LedgerRepair | undefined> {
    const from = Math.max(0, this.signedSize);
    const to = this.size - 1;
    if (from > to) return undefined;
    await this.append(
      {
        kind: 'incident',
        code: 'UNSIGNED_TAIL',
        what: `Entries ${from} to ${to} were durable but under no signed checkpoint when the ledger was opened; they are kept and signed now.`,
        detail: { from, to, root: hex(this.root(to + 1)) },
      },
      `incident/unsigned-tail/${from}-${to}`,
    );
    await this.checkpoint();
    return { from, to };
  }

  /** One writer at a time within this process; other processes are met at the store. */
  #exclusively<T>(body: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(body, body);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }
}

/** Operation under which the ledger hands over to this key. */
export function rotationOf(publicKey: Uint8Array): string {
  return `key.rotate/${base64(publicKey)}`;
}

/** @throws LEDGER_CORRUPT, LEDGER_KEY_UNKNOWN, STORE_UNAVAILABLE */
export function openLedger(options: LedgerOptions): Promise<Ledger> {
  return Ledger.open(options);
}

function moved(expected: number, size: number): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('LEDGER_MOVED', `the ledger has ${size} entries, not ${expected}`, {
    fix: 'Decide again on what it holds now.',
  });
}

function notInForce(what: string, where: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('LEDGER_KEY_UNKNOWN', what, {
    where,
    fix: 'Start again with the key that the last key.rotate entry names.',
  });
}
