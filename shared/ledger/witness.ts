import { equalBytes } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import type { Signer } from '../core/signing.ts';
import { openCheckpoint } from './checkpoint.ts';
import { ALGORITHM, type VerifierKey, verifierKey } from './keys.ts';
import { verifyConsistency } from './merkle.ts';
import { signLine } from './note.ts';

/** What a witness remembers of a log: the largest checkpoint that it has cosigned. */
export interface SeenCheckpoint {
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** A witness's verifier key (cosignature/v1). One key is one witness: the signed message does not name it. */
export function witnessKey(name: string, publicKey: Uint8Array): VerifierKey {
  return verifierKey(name, ALGORITHM.cosignature, publicKey);
}

/**
 * Checks that a checkpoint extends what was last seen and cosigns it (C2SP tlog-cosignature).
 *
 * The caller must make `seen` durable **before** it sends `line`: a witness that forgets could cosign a fork.
 * @param lastSeen - undefined the first time: then the log is trusted as it is found
 * @param proof - consistency proof from lastSeen.size to the checkpoint's size
 * @throws NOTE_INVALID, NOTE_UNSIGNED, PROOF_INVALID (a fork or a rollback: nothing is signed)
 */
export function witnessCheckpoint(input: {
  readonly lastSeen: SeenCheckpoint | undefined;
  readonly checkpoint: string;
  readonly proof: readonly Uint8Array[];
  /** The log's key, pinned. */
  readonly logKey: VerifierKey;
  readonly name: string;
  readonly signer: Signer;
  readonly clock: Clock;
}): { readonly line: string; readonly key: VerifierKey; readonly seen: SeenCheckpoint; readonly extended: boolean } {
  const { size, root, body } = openCheckpoint(input.checkpoint, { log: [input.logKey] });
  const last = input.lastSeen;
  if (last !== undefined) verifyConsistency(last.size, size, last.root, root, input.proof);
  const key = witnessKey(input.name, input.signer.publicKey);
  const line = signLine(body, key, input.signer, Math.floor(input.clock.now() / 1000));
  return {
    line,
    key,
    seen: { size, root },
    extended: last === undefined || last.size !== size || !equalBytes(last.root, root),
  };
}
