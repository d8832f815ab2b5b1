import { ed25519 } from '@noble/curves/ed25519.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import nacl from 'tweetnacl';
import { afterEach, describe, expect, test } from 'vitest';
import { fromHex, hex, utf8 } from '../../../shared/core/bytes.ts';
import { sha256 } from '../../../shared/core/hash.ts';
import { softwareKeystream } from '../../../shared/core/keystream.ts';
import { installNativeCrypto } from '../../../shared/core/native.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { signerFromSeed, verifySignature } from '../../../shared/core/signing.ts';
import { opensslCrypto, useOpensslCrypto } from '../../../shared/node/native-crypto.ts';
import { keyPair, sharedSecret } from '../../../shared/secagg/keys.ts';
import { lowOrder } from '../../support/low-order.ts';

const rng = seededRng('native');
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const message = utf8('a message');
const signer = signerFromSeed(rng.bytes(32));
const signature = signer.sign(message);

/** The verdict in JavaScript, then with OpenSSL. */
function verdicts(key: Uint8Array, text: Uint8Array, signed: Uint8Array): boolean[] {
  installNativeCrypto(undefined);
  const plain = verifySignature(key, text, signed);
  useOpensslCrypto();
  return [plain, verifySignature(key, text, signed)];
}

function malleated(signed: Uint8Array): Uint8Array {
  const out = signed.slice();
  let s = BigInt(`0x${hex(signed.slice(32).reverse())}`) + L;
  for (let i = 32; i < 64; i++, s >>= 8n) out[i] = Number(s & 0xffn);
  return out;
}

afterEach(() => installNativeCrypto(undefined));

describe('OpenSSL in place of JavaScript', () => {
  test('an honest signature verifies; with a changed bit anywhere it does not', () => {
    expect(verdicts(signer.publicKey, message, signature)).toEqual([true, true]);
    for (let bit = 0; bit < 512; bit += 7) {
      const changed = signature.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(verdicts(signer.publicKey, message, changed)).toEqual([false, false]);
    }
    expect(verdicts(signer.publicKey, utf8('another'), signature)).toEqual([false, false]);
    expect(verdicts(signer.publicKey, message, signature.subarray(1))).toEqual([false, false]);
  });

  test('S + L is refused: nobody can make a second signature out of one', () => {
    expect(verdicts(signer.publicKey, message, malleated(signature))).toEqual([false, false]);
  });

  test('keys of small order, and encodings that are not canonical, verify nothing', () => {
    const torsion = ed25519.Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');
    const keys = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].map((k) =>
      (k === 0n ? ed25519.Point.ZERO : torsion.multiply(k)).toBytes(),
    );
    // y = p + 1, the identity spelt otherwise.
    keys.push(fromHex('eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'));
    for (const key of keys) {
      // R = identity and S = 0 satisfies the equation for every message under the identity as key.
      const forged = new Uint8Array(64);
      forged[0] = 1;
      expect(verdicts(key, message, forged)).toEqual([false, false]);
    }
  });

  test('what only the equation with the cofactor accepts, OpenSSL refuses: it accepts nothing more', () => {
    // R with a torsion component, signed over as it stands.
    const secret = ed25519.utils.getExtendedPublicKey(new Uint8Array(32).fill(5));
    const torsion = ed25519.Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');
    const r = 1234567n;
    const R = ed25519.Point.BASE.multiply(r).add(torsion).toBytes();
    const hash = Buffer.from(ed25519hash(R, secret.pointBytes, message))
      .reverse()
      .toString('hex');
    let s = (r + (BigInt(`0x${hash}`) % L) * secret.scalar) % L;
    const forged = new Uint8Array(64);
    forged.set(R);
    for (let i = 32; i < 64; i++, s >>= 8n) forged[i] = Number(s & 0xffn);
    expect(verdicts(secret.pointBytes, message, forged)).toEqual([true, false]);
  });

  test('X25519, SHA-256, HKDF and Ed25519 signatures give the same bytes', () => {
    for (let i = 0; i < 20; i++) {
      const [a, b] = [keyPair(rng), keyPair(rng)];
      expect(opensslCrypto.x25519(a.secretKey, b.publicKey)).toEqual(nacl.scalarMult(a.secretKey, b.publicKey));
      const parts = [rng.bytes(i), rng.bytes(60 * i)];
      installNativeCrypto(undefined);
      expect(opensslCrypto.sha256(parts)).toEqual(sha256(...parts));
      const [secret, salt, info] = [rng.bytes(32), rng.bytes(32), rng.bytes(i)];
      for (const length of [1, 32, 33, 100])
        expect(opensslCrypto.hkdf(secret, salt, info, length)).toEqual(hkdf(nobleSha256, secret, salt, info, length));
      expect(opensslCrypto.signEd25519(secret)(info)).toEqual(ed25519.sign(info, secret));
    }
  });

  test('a keystream asked for in pieces, onwards, again, across a gap or from another lane, has its place’s bytes', () => {
    const key = rng.bytes(32);
    const fill = opensslCrypto.aes256Ctr(key);
    // Lane, first block, bytes: one piece after the other, some not of whole blocks or longer than OpenSSL is asked for at a time.
    const pieces = [
      [0, 0, 32],
      [0, 2, 40],
      [0, 4, 24],
      [0, 5, 200_000],
      [0, 12_505, 16],
      [0, 12_505, 16],
      [0, 12_506, 16],
      [1, 12_507, 16],
      [1, 12_508, 5],
      [1, 12_508, 16],
      [0, 12_509, 16],
    ] as const;
    for (const [lane, block, length] of pieces) {
      const into = rng.bytes(length);
      const counter = new Uint8Array(16);
      new DataView(counter.buffer).setBigUint64(0, BigInt(lane));
      new DataView(counter.buffer).setBigUint64(8, BigInt(block));
      fill(counter, into);
      expect(Buffer.compare(into, softwareKeystream(key, block, length, lane))).toBe(0);
    }
  });

  test('an erased secret is another key, not the one before', () => {
    const { secretKey } = keyPair(rng);
    const other = keyPair(rng).publicKey;
    const before = opensslCrypto.x25519(secretKey, other);
    secretKey.fill(0);
    expect(opensslCrypto.x25519(secretKey, other)).not.toEqual(before);
  });

  test.each(lowOrder.map((point) => [hex(point), point] as const))('the point %s is refused', (_, point) => {
    useOpensslCrypto();
    expect(() => sharedSecret(keyPair(rng).secretKey, point)).toThrow(
      expect.objectContaining({ code: 'SECAGG_LOW_ORDER_KEY' }),
    );
  });
});

/** SHA-512(R ‖ A ‖ M), RFC 8032 §5.1.7. */
function ed25519hash(...parts: Uint8Array[]): Uint8Array {
  return nacl.hash(Buffer.concat(parts));
}
