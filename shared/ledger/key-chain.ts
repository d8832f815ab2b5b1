import { base64, equalBytes, fromBase64 } from '../core/bytes.ts';
import type { Signer } from '../core/signing.ts';
import type { Entry } from './entries.ts';
import { ALGORITHM, type VerifierKey, verifierKey } from './keys.ts';
import { signStatement, verifyStatement } from './statement.ts';

/** What both keys sign when one hands over to the other. */
export type Handover = Pick<Entry<'key.rotate'>, 'change' | 'signature' | 'acceptance'>;

/** Signed by both: the old key vouches for the new one, the new one says where it comes from. */
export function handOver(origin: string, from: Signer, to: Signer, reason: string): Handover {
  const change = {
    role: 'log',
    name: origin,
    oldPublicKey: base64(from.publicKey),
    newPublicKey: base64(to.publicKey),
    reason,
  } as const;
  return {
    change,
    signature: signStatement('key.rotate', change, from),
    acceptance: signStatement('key.rotate', change, to),
  };
}

/** Both signatures hold and the keys differ. */
export function isHandover({ change, signature, acceptance }: Handover): boolean {
  return (
    change.oldPublicKey !== change.newPublicKey &&
    verifyStatement('key.rotate', change, change.oldPublicKey, signature) &&
    verifyStatement('key.rotate', change, change.newPublicKey, acceptance)
  );
}

interface Placed {
  readonly index: number;
  readonly handover: Handover;
}

/**
 * Which key of a log signs which size. A log's name stays; its key changes where an entry `key.rotate` says so: up to that
 * entry the old key signs, from it on the new one. Both sign the checkpoint that ends with the entry.
 */
export class KeyHistory {
  readonly origin: string;
  /** Hand-overs of the log's own key that hold and follow one another. */
  readonly #rotations: Placed[] = [];

  constructor(origin: string) {
    this.origin = origin;
  }

  get handovers(): readonly Handover[] {
    return this.#rotations.map((r) => r.handover);
  }

  /** Takes a hand-over in. @returns false when it is of this log and does not hold, or does not follow the last one */
  take(index: number, handover: Handover): boolean {
    if (!this.accepts(handover)) return false;
    if (this.#isOfThisLog(handover)) this.#rotations.push({ index, handover });
    return true;
  }

  /** Whether it may be the next: of another key altogether, or signed by both and by the one in force. */
  accepts(handover: Handover): boolean {
    if (!this.#isOfThisLog(handover)) return true;
    const last = this.#rotations.at(-1);
    const follows = last === undefined || last.handover.change.newPublicKey === handover.change.oldPublicKey;
    return follows && isHandover(handover);
  }

  /** The key that must sign a checkpoint of `size`; undefined while the log has never changed its key. */
  inForce(size: number): VerifierKey | undefined {
    const [first] = this.#rotations;
    if (first === undefined) return undefined;
    const last = this.#rotations.filter((r) => r.index < size).at(-1);
    return this.#key(last === undefined ? first.handover.change.oldPublicKey : last.handover.change.newPublicKey);
  }

  /** `known` and every key that a chain of hand-overs links to one of them. */
  linked(known: readonly VerifierKey[]): readonly VerifierKey[] {
    const texts = this.#rotations.flatMap(({ handover: { change } }) => [change.oldPublicKey, change.newPublicKey]);
    const chain = [...new Set(texts)].map((text) => this.#key(text));
    const touches = known.some((k) => k.name === this.origin && chain.some((c) => sameBytes(c, k)));
    return touches ? [...known, ...chain.filter((c) => !known.some((k) => sameBytes(c, k)))] : known;
  }

  #isOfThisLog({ change }: Handover): boolean {
    return change.role === 'log' && change.name === this.origin;
  }

  #key(publicKey: string): VerifierKey {
    return verifierKey(this.origin, ALGORITHM.ed25519, fromBase64(publicKey));
  }
}

function sameBytes(a: VerifierKey, b: VerifierKey): boolean {
  return a.algorithm === b.algorithm && equalBytes(a.publicKey, b.publicKey);
}
