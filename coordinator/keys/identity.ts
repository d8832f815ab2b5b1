import { join } from 'node:path';
import { base64, fromUtf8, utf8 } from '../../shared/core/bytes.ts';
import type { Rng } from '../../shared/core/rng.ts';
import { type Signer, signerFromSeed } from '../../shared/core/signing.ts';
import { openKeystore } from '../../shared/node/keystore.ts';
import { readOrCreateSecret } from '../../shared/node/secret-file.ts';

export interface CoordinatorIdentity {
  /** Signs the ledger's checkpoints and the protocol's messages. */
  readonly signer: Signer;
  /** Opens what only the operator may do; file `operator-token`, mode 0600. */
  readonly operatorToken: string;
  readonly protection: 'passphrase' | 'machine';
}

/**
 * Key and token of the coordinator in its data directory, made on first start.
 * @throws KEYSTORE_LOCKED, KEYSTORE_INVALID
 */
export async function openIdentity(
  dataDir: string,
  passphrase: string | undefined,
  rng: Rng,
): Promise<CoordinatorIdentity> {
  const { seed, protection } = await openKeystore(join(dataDir, 'keys', 'coordinator.json'), { passphrase, rng });
  const token = () => utf8(base64(rng.bytes(32)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''));
  const { bytes } = await readOrCreateSecret(join(dataDir, 'operator-token'), token);
  return { signer: signerFromSeed(seed), operatorToken: fromUtf8(bytes).trim(), protection };
}

/** `TACIT_KEY_PASSPHRASE`, or undefined when it is not set or empty. */
export function passphraseFromEnvironment(): string | undefined {
  const passphrase = process.env.TACIT_KEY_PASSPHRASE;
  return passphrase === '' ? undefined : passphrase;
}
