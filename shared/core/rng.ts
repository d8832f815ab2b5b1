import { ctr } from '@noble/ciphers/aes.js';
import { utf8 } from './bytes.ts';
import { sha256 } from './hash.ts';
import { nativeCrypto } from './native.ts';

/** Source of uniformly random bytes. Handed in everywhere, so that a simulated run can be repeated from a seed. */
export interface Rng {
  /** `length` fresh bytes. */
  bytes(length: number): Uint8Array;
}

/** The platform's CSPRNG (WebCrypto `getRandomValues`, in Node and browsers). The only Rng of production code. */
export const systemRng: Rng = {
  bytes(length) {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i += 65536) crypto.getRandomValues(out.subarray(i, Math.min(length, i + 65536)));
    return out;
  },
};

/** Repeatable stream for tests and simulations: AES-256-CTR under SHA-256(seed). Never used for real data. */
export function seededRng(seed: string): Rng {
  const blockBytes = 65536;
  let counter = 0;
  let block = new Uint8Array(0);
  let at = 0;
  const key = sha256(utf8(seed));
  const fill = nativeCrypto()?.aes256Ctr(key);
  const refill = (): void => {
    const iv = new Uint8Array(16);
    new DataView(iv.buffer).setUint32(0, counter++);
    if (fill === undefined) block = ctr(key, iv).encrypt(new Uint8Array(blockBytes)) as Uint8Array<ArrayBuffer>;
    else {
      if (block.length === 0) block = new Uint8Array(blockBytes);
      fill(iv, block);
    }
    at = 0;
  };
  return {
    bytes(length) {
      const out = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        if (at === block.length) refill();
        const n = Math.min(length - done, block.length - at);
        out.set(block.subarray(at, at + n), done);
        at += n;
        done += n;
      }
      return out;
    },
  };
}

/** Uniform in [0, 1) with 53 random bits. */
export function uniform(rng: Rng): number {
  const b = rng.bytes(8);
  const view = new DataView(b.buffer, b.byteOffset, 8);
  return (view.getUint32(0) * 2 ** 21 + (view.getUint32(4) >>> 11)) / 2 ** 53;
}

/** Uniform integer in [0, bound), by rejection, so unbiased. `bound` ≤ 2^32. */
export function uniformInt(rng: Rng, bound: number): number {
  const limit = Math.floor(2 ** 32 / bound) * bound;
  for (;;) {
    const b = rng.bytes(4);
    const x = new DataView(b.buffer, b.byteOffset, 4).getUint32(0);
    if (x < limit) return x % bound;
  }
}

/** In-place Fisher–Yates shuffle. Not a Poisson sample: never used where amplification is claimed. */
export function shuffle<T>(rng: Rng, items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = uniformInt(rng, i + 1);
    const x = items[i] as T;
    items[i] = items[j] as T;
    items[j] = x;
  }
  return items;
}
