import { systemRng } from '../../shared/core/rng.ts';
import { keyPairOf, sharedSecret } from '../../shared/secagg/keys.ts';
import { addInto, removeMasks } from '../../shared/secagg/mask.ts';
import { combineShares, splitSecret } from '../../shared/secagg/shamir.ts';
import type { BenchRow } from '../row.ts';
import { CHUNK_BYTES, streams } from './client-round.ts';
import { atMost, leastSpent, spent } from './measure.ts';
import { unmaskRow } from './unmask.ts';

/** What an upload and an unmasking cost the coordinator. */
export async function serverRows(dimension: number): Promise<BenchRow[]> {
  const accumulator = new Uint32Array(dimension);
  const words = new Uint32Array(dimension).fill(0x12345678);
  const bytes = new Uint8Array(words.buffer);
  const plain = await leastSpent(3, () => {
    for (let i = 0; i < dimension; i++) accumulator[i] = (accumulator[i] as number) + (words[i] as number);
  });
  const added = await leastSpent(3, () => {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
      addInto(accumulator, bytes.subarray(at, at + CHUNK_BYTES), at / 4, 32);
  });
  const small = new Uint32Array(100_000);
  const dropped = systemRng.bytes(32);
  const survivors = Array.from({ length: 95 }, () => keyPairOf(systemRng.bytes(32)).publicKey);
  const masks = { selfSeeds: streams(95, systemRng), pairwise: streams(5 * 95, systemRng), surplus: [] };
  const secret = systemRng.bytes(32);
  const shared = await leastSpent(20, () => splitSecret(secret, 100, 51, systemRng));
  const shares = splitSecret(secret, 100, 51, systemRng).map((share, j) => ({ x: j + 1, share }));
  const combined = await leastSpent(20, () => combineShares(shares.slice(0, 51)));
  const unmask = await spent(async () => {
    for (let secrets = 0; secrets < 100; secrets++) combineShares(shares.slice(0, 51));
    for (let gone = 0; gone < 5; gone++) for (const key of survivors) sharedSecret(dropped, key);
    await removeMasks(small, masks);
  });
  return [
    atMost(
      `server: add one upload over a plain addition, d = ${dimension / 1e6} M`,
      added.wall,
      's',
      1.3,
      plain.wall,
      'ratio',
    ),
    atMost(
      'server: unmask by primitives, processor time, n = 100 complete graph, 5 drops, d = 100,000: 100 secrets combined, 475 keys agreed, 570 masks removed',
      unmask.cpu,
      's',
      1,
    ),
    await unmaskRow(100, 5, 100_000),
    atMost('share 32 bytes 51 of 100', shared.wall * 1e3, 'ms', null),
    atMost('combine 51 shares of 32 bytes', combined.wall * 1e3, 'ms', null),
  ];
}
