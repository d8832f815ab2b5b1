import { seededRng, systemRng } from '../../shared/core/rng.ts';
import { CHUNK_WORDS, ChunkSpace } from '../../shared/kernels/chunk-space.ts';
import { opensslCrypto } from '../../shared/node/native-crypto.ts';
import { componentSource, wordsForEscapes } from '../../shared/privacy/component-noise.ts';
import { discreteGaussian } from '../../shared/privacy/discrete-gaussian.ts';
import type { BenchRow } from '../row.ts';
import { benchMechanism, clientRound, streams } from './client-round.ts';
import { atMost, leastSpent } from './measure.ts';

/** Keystream from word `at` on, as OpenSSL makes it fastest. */
function keystreamAt(fill: ReturnType<typeof opensslCrypto.aes256Ctr>, at: number, words: Uint32Array): void {
  const counter = new Uint8Array(16);
  new DataView(counter.buffer).setBigUint64(8, BigInt(at / 4));
  fill(counter, new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
}

/** The least that `count` masks can cost: AES-256-CTR, and one addition of it each by the kernels while the sum is in cache. */
function floor(dimension: number, count: number): Promise<void> {
  const fills = streams(count, seededRng('floor')).map(({ key }) => opensslCrypto.aes256Ctr(key));
  return ChunkSpace.use(CHUNK_WORDS, async ({ ring, target, words }) => {
    for (let at = 0; at < dimension; at += CHUNK_WORDS)
      for (const fill of fills) {
        keystreamAt(fill, at, words);
        ring.add(target, words);
      }
  });
}

function aes(bytes: number): void {
  const fill = opensslCrypto.aes256Ctr(new Uint8Array(32));
  const words = new Uint32Array(CHUNK_WORDS);
  for (let at = 0; at < bytes / 4; at += CHUNK_WORDS) keystreamAt(fill, at, words);
}

/** What one round costs a client, as a multiple of what its masks alone must cost. */
export async function clientRows(dimension: number, clients: number): Promise<BenchRow[]> {
  const label = `d = ${dimension / 1e6} M, n = ${clients}`;
  const warm = new Float32Array(4 * CHUNK_WORDS);
  await clientRound(warm, { dimension: warm.length, clients, components: 2 }, systemRng);
  const least = await leastSpent(2, () => floor(dimension, clients));
  const sum = new Float32Array(dimension).fill(0.5 / Math.sqrt(dimension));
  let bytes = 0;
  const round = (components: number) =>
    leastSpent(2, () => {
      bytes = 0;
      return clientRound(sum, { dimension, clients, components }, systemRng, (chunk) => {
        bytes += chunk.length;
      });
    });
  const one = await round(1);
  const two = await round(2);
  return [
    atMost(`client: whole round, processor time, ${label}`, one.cpu, 's', 5),
    atMost(`client: whole round, time on the wall, ${label}`, one.wall, 's', null),
    atMost(`client: whole round over AES-CTR + add floor, ${label}`, one.cpu, 's', 2, least.cpu, 'ratio'),
    atMost(`client: each further noise component, d = ${dimension / 1e6} M`, two.cpu - one.cpu, 's', 3),
    atMost('client: bytes up per number', bytes / dimension, 'B', 4),
    ...(await noiseRows(dimension, clients)),
  ];
}

/** The sampler alone, over as many samples as the vector has. */
async function noiseRows(dimension: number, clients: number): Promise<BenchRow[]> {
  const sigma = benchMechanism(dimension, clients).localSigma;
  const furtherWords = wordsForEscapes(discreteGaussian(sigma), CHUNK_WORDS) / CHUNK_WORDS;
  const randomBytes = 4 * Math.ceil(dimension * (1 + furtherWords));
  const source = await componentSource({ key: systemRng.bytes(32), sigma });
  const sample = (): Promise<void> =>
    ChunkSpace.use(CHUNK_WORDS, async (space) => {
      for (let at = 0; at < dimension; at += CHUNK_WORDS)
        await source(space, Math.min(CHUNK_WORDS, dimension - at), at / CHUNK_WORDS, 1);
    });
  const cipher = await leastSpent(2, () => aes(randomBytes));
  const noise = await leastSpent(2, sample);
  const label = `discrete Gaussian, ${dimension / 1e6} M samples, sigma ${Math.round(sigma)}`;
  return [
    atMost(label, noise.cpu, 's', 3),
    atMost(
      `${label}, over AES-CTR of its ${Math.round(randomBytes / 1e6)} MB`,
      noise.cpu,
      's',
      1.5,
      cipher.cpu,
      'ratio',
    ),
  ];
}
