import { createCipheriv } from 'node:crypto';
import { seededRng, systemRng } from '../../shared/core/rng.ts';
import { CHUNK_WORDS, ChunkSpace } from '../../shared/kernels/chunk-space.ts';
import { componentSource } from '../../shared/privacy/component-noise.ts';
import { discreteGaussian, tablesOf } from '../../shared/privacy/discrete-gaussian.ts';
import type { BenchRow } from '../row.ts';
import { benchMechanism, clientRound, streams } from './client-round.ts';
import { atMost, leastSpent, spent } from './measure.ts';

const PIECE = new Uint8Array(1 << 20);

/** The least that `count` masks can cost: OpenSSL's AES-256-CTR in one buffer, and one addition of it each. */
function floor(target: Uint32Array, count: number): void {
  for (const { key } of streams(count, seededRng('floor'))) {
    const cipher = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
    for (let at = 0; at < target.length; at += PIECE.length / 4) {
      const piece = cipher.update(PIECE);
      const words = new Uint32Array(piece.buffer, piece.byteOffset, Math.min(PIECE.length / 4, target.length - at));
      for (let i = 0; i < words.length; i++) target[at + i] = (target[at + i] as number) + (words[i] as number);
    }
  }
}

function aes(bytes: number): void {
  const cipher = createCipheriv('aes-256-ctr', new Uint8Array(32), new Uint8Array(16));
  for (let at = 0; at < bytes; at += PIECE.length) cipher.update(PIECE);
}

/** What one round costs a client, as a multiple of what its masks alone must cost. */
export async function clientRows(dimension: number, clients: number): Promise<BenchRow[]> {
  const label = `d = ${dimension / 1e6} M, n = ${clients}`;
  const warm = new Float32Array(4 * CHUNK_WORDS);
  await clientRound(warm, { dimension: warm.length, clients, components: 2 }, systemRng);
  const scratch = new Uint32Array(dimension);
  const least = await spent(() => floor(scratch, clients));
  const sum = new Float32Array(dimension).fill(0.5 / Math.sqrt(dimension));
  let bytes = 0;
  const one = await spent(() =>
    clientRound(sum, { dimension, clients, components: 1 }, systemRng, (chunk) => {
      bytes += chunk.length;
    }),
  );
  const two = await spent(() => clientRound(sum, { dimension, clients, components: 2 }, systemRng));
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
  const randomBytes = 4 * dimension * tablesOf(discreteGaussian(sigma)).length;
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
    atMost(`${label}, over AES-CTR of its ${randomBytes / 1e6} MB`, noise.cpu, 's', 1.5, cipher.cpu, 'ratio'),
  ];
}
