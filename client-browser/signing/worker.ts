import '../lib/zod-jitless.ts';
import { scrypt } from '@noble/hashes/scrypt.js';
import { base64, fromBase64 } from '../../shared/core/bytes.ts';
import { parseKeyFile, passphraseBytes, SEALING_KEY_BYTES, unsealKey } from '../../shared/core/key-file.ts';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { signStatement } from '../../shared/ledger/statement.ts';
import type { SignAnswer, SignRequest } from './messages.ts';

/**
 * Opens one key file, signs one document, and is ended by the page. The coordinator serves this file with a policy of its
 * own: it may run scripts of this origin and open no connection, so what it holds cannot leave it but as a message.
 */
function answerTo({ keyFile, passphrase, approver, proposal }: SignRequest): SignAnswer {
  const stored = parseKeyFile(keyFile);
  if (stored === undefined) return { ok: false, code: 'KEY_FILE_UNREADABLE' };
  if (stored.key.from === 'machine') return { ok: false, code: 'KEY_WITHOUT_PASSPHRASE' };
  const { cost, blockSize, parallelization } = stored.key.scrypt;
  const sealingKey = scrypt(passphraseBytes(passphrase), fromBase64(stored.key.salt), {
    N: cost,
    r: blockSize,
    p: parallelization,
    dkLen: SEALING_KEY_BYTES,
    maxmem: 2 ** 31,
  });
  const seed = unsealKey(stored, sealingKey);
  sealingKey.fill(0);
  if (seed === undefined) return { ok: false, code: 'PASSPHRASE_WRONG' };
  const signer = signerFromSeed(seed);
  seed.fill(0);
  const signature = signStatement(proposal.kind, proposal.document, signer);
  return { ok: true, approval: { approver, publicKey: base64(signer.publicKey), signature } };
}

addEventListener('message', ({ data }: MessageEvent<SignRequest>) => {
  (globalThis as unknown as { postMessage(answer: SignAnswer): void }).postMessage(answerTo(data));
});
