import { systemRng } from '../../shared/core/rng.ts';
import { CHUNK_WORDS, ChunkSpace } from '../../shared/kernels/chunk-space.ts';
import { packedBytes, type RingBits } from '../../shared/kernels/packing.ts';
import { Rotation } from '../../shared/privacy/rotation.ts';
import { blockAt } from '../../shared/privacy/rotation-blocks.ts';
import { addInto } from '../../shared/secagg/mask.ts';
import { chunkBytesOf } from '../../shared/secagg/upload-shape.ts';
import type { BenchRow } from '../row.ts';
import { clientRound } from './client-round.ts';
import { atMost, leastSpent, spent } from './measure.ts';

/** Most numbers that 16 bits are asked to hold. */
const LARGEST_AT_16 = 1e6;

/** What small rings save on the wire, and what they cost at both ends. */
export async function thinRows(dimension: number, clients: number): Promise<BenchRow[]> {
  const sum = new Float32Array(dimension).fill(0.5 / Math.sqrt(dimension));
  const label = `d = ${dimension / 1e6} M`;
  const round = (ringBits: RingBits) =>
    spent(() => clientRound(sum, { dimension, clients, components: 1, ringBits }, systemRng));
  await bytesUp(LARGEST_AT_16, clients, 20);
  const wide = await round(32);
  const thin = await round(20);
  const alone = await leastSpent(2, () => rotateAndPack(sum));
  return [
    atMost(
      `thin: bytes up per number, 20 bits, ${label}`,
      (await bytesUp(dimension, clients, 20)) / dimension,
      'B',
      2.5,
    ),
    atMost(
      'thin: bytes up per number, 16 bits, d = 1 M',
      (await bytesUp(LARGEST_AT_16, clients, 16)) / LARGEST_AT_16,
      'B',
      2,
    ),
    atMost(`thin: client rotates, rounds and packs at 20 bits, processor time, ${label}`, alone.cpu, 's', null),
    atMost(
      `thin: client, whole round at 20 bits over 32, processor time, ${label}, n = ${clients}`,
      thin.cpu,
      's',
      null,
      wide.cpu,
      'ratio',
    ),
    ...(await serverRows(dimension)),
  ];
}

/** Bytes of a client's whole upload. */
async function bytesUp(dimension: number, clients: number, ringBits: RingBits): Promise<number> {
  let bytes = 0;
  const sum = new Float32Array(dimension).fill(0.5 / Math.sqrt(dimension));
  await clientRound(sum, { dimension, clients, components: 1, ringBits }, systemRng, (chunk) => {
    bytes += chunk.length;
  });
  return bytes;
}

/** What a ring of 20 bits adds to a round: the transform in place of a copy, and the packing. */
async function rotateAndPack(sum: Float32Array): Promise<void> {
  const rotation = await Rotation.of(systemRng.bytes(32), sum.length);
  const { blocks } = rotation;
  await ChunkSpace.use(CHUNK_WORDS, async (space) => {
    for (let k = 0; k < blocks.count; k++) {
      const block = await rotation.forward(space, sum, k);
      const [begin, end] = blockAt(blocks, sum.length, k);
      const words = space.target.subarray(0, end - begin);
      space.hadamard.quantise(words, block, space.words, 1e4);
      space.pack(words, 20);
    }
  });
}

/** One packed upload added, over the same upload as 32-bit words. */
async function serverRows(dimension: number): Promise<BenchRow[]> {
  const accumulator = new Uint32Array(dimension);
  const bytes = new Uint8Array(4 * dimension).fill(0x5a);
  const add = (bits: RingBits) =>
    leastSpent(3, () => {
      const chunk = chunkBytesOf(bits);
      const total = packedBytes(dimension, bits);
      for (let at = 0; at < total; at += chunk)
        addInto(accumulator, bytes.subarray(at, Math.min(at + chunk, total)), (8 * at) / bits, bits);
    });
  const wide = await add(32);
  const thin = await add(20);
  return [
    atMost(
      `thin: server adds one upload of 20 bits over 32, d = ${dimension / 1e6} M`,
      thin.cpu,
      's',
      null,
      wide.cpu,
      'ratio',
    ),
  ];
}
