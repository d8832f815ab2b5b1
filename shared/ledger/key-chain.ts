import { base64, equalBytes, fromBase64 } from '../core/bytes.ts';
import type { Signer } from '../core/signing.ts';
import type { Entry } from './entries.ts';
import { ALGORITHM, type VerifierKey, verifierKey } from './keys.ts';
import { signStatement, verifyStatement } from './statement.ts';

/** What both keys sign when one hands over to the other. */
export type Handover = Pick<Entry<'key.rotate'>, 'change' | 'signature' | 'acceptance'>;
type Change = Handover['change'];

/** Whose key it is, and why it changes. */
export type Subject = Omit<Change, 'oldPublicKey' | 'newPublicKey'>;

/** Signed by both: the old key vouches for the new one, the new one says where it comes from. */
export function handOver(subject: Subject, from: Signer, to: Signer): Handover {
  const change = { ...subject, oldPublicKey: base64(from.publicKey), newPublicKey: base64(to.publicKey) };
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

/** Operation under which a ledger takes in a change of somebody else's key than its own. */
export function handoverOperation({ change }: Handover): string {
  return `key.rotate/${change.role}/${change.name}/${change.newPublicKey}`.replace(/[^\x21-\x7e]/g, '_').slice(0, 400);
}

/** What keeps a change from being the next one, with both values. */
export interface ChainProblem {
  readonly what: string;
  readonly expected: string;
  readonly actual: string;
}

interface Placed {
  readonly index: number;
  readonly handover: Handover;
}

/**
 * Which key was in force when, from the changes that a log holds. A log's name stays; its key changes where an entry
 * `key.rotate` says so: up to that entry the old key signs, from it on the new one. Both sign the checkpoint that ends with
 * the entry. A log also holds the changes of others: of its clients, whose own logs, statements and cosignatures are under one
 * key, and of approvers. A key that was handed over never comes back, so no change can be replayed.
 */
export class KeyHistory {
  readonly origin: string;
  /** Per log, changes that hold and follow one another. */
  readonly #chains = new Map<string, Placed[]>();
  /** Every key that some change named, per role. */
  readonly #used = new Set<string>();

  constructor(origin: string) {
    this.origin = origin;
  }

  get handovers(): readonly Handover[] {
    return this.#chain(this.origin).map((r) => r.handover);
  }

  /** Takes a hand-over in. @returns false when it does not hold, or is not the next */
  take(index: number, handover: Handover): boolean {
    if (!this.accepts(handover)) return false;
    const { role, name, oldPublicKey, newPublicKey } = handover.change;
    for (const key of [oldPublicKey, newPublicKey]) this.#used.add(`${role}/${key}`);
    const { change, signature, acceptance } = handover;
    if (role === 'log')
      this.#chains.set(name, [...this.#chain(name), { index, handover: { change, signature, acceptance } }]);
    return true;
  }

  /** Whether it may be the next: signed by both, and following what was there before. */
  accepts(handover: Handover): boolean {
    return this.problemWith(handover) === undefined && isHandover(handover);
  }

  /** Signatures apart. Who held a key before its first change, rosters say (budget-rules.ts, verify-people.ts). */
  problemWith({ change }: Pick<Handover, 'change'>): ChainProblem | undefined {
    const { role, name, oldPublicKey, newPublicKey } = change;
    if (this.#used.has(`${role}/${newPublicKey}`))
      return { what: 'a key that was handed over before comes back', expected: 'a new key', actual: newPublicKey };
    if (role === 'approver') {
      if (change.origin === this.origin) return undefined;
      return { what: 'the change is for another log', expected: this.origin, actual: String(change.origin) };
    }
    const last = this.#chain(name).at(-1)?.handover.change.newPublicKey;
    if (last === undefined || last === oldPublicKey) return undefined;
    return { what: 'the key that hands over is not the one in force', expected: last, actual: oldPublicKey };
  }

  /** The key that must sign a checkpoint of `size`; undefined while the log has never changed its key. */
  inForce(size: number): VerifierKey | undefined {
    const [first, ...later] = this.#chain(this.origin);
    if (first === undefined) return undefined;
    const last = [first, ...later].filter((r) => r.index < size).at(-1);
    const text = last === undefined ? first.handover.change.oldPublicKey : last.handover.change.newPublicKey;
    return verifierKey(this.origin, ALGORITHM.ed25519, fromBase64(text));
  }

  /** `known` and every key that a chain of hand-overs links to one of them. */
  linked(known: readonly VerifierKey[]): readonly VerifierKey[] {
    const texts = this.handovers.flatMap(({ change }) => [change.oldPublicKey, change.newPublicKey]);
    const chain = [...new Set(texts)].map((text) => verifierKey(this.origin, ALGORITHM.ed25519, fromBase64(text)));
    const touches = known.some((k) => k.name === this.origin && chain.some((c) => sameBytes(c, k)));
    return touches ? [...known, ...chain.filter((c) => !known.some((k) => sameBytes(c, k)))] : known;
  }

  /** `known` witnesses, each under the key that it has handed over to in the end. */
  followed(known: readonly VerifierKey[]): readonly VerifierKey[] {
    return known.map((witness) => {
      let key = witness;
      for (const { handover } of this.#chain(witness.name)) {
        const { oldPublicKey, newPublicKey } = handover.change;
        if (base64(key.publicKey) === oldPublicKey)
          key = verifierKey(key.name, key.algorithm, fromBase64(newPublicKey));
      }
      return key;
    });
  }

  #chain(name: string): readonly Placed[] {
    return this.#chains.get(name) ?? [];
  }
}

function sameBytes(a: VerifierKey, b: VerifierKey): boolean {
  return a.algorithm === b.algorithm && equalBytes(a.publicKey, b.publicKey);
}
