import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../../shared/core/hash.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { CHUNK_WORDS, ChunkSpace } from '../../../shared/kernels/chunk-space.ts';
import { packedBytes, type RingBits } from '../../../shared/kernels/packing.ts';
import { addComponents } from '../../../shared/privacy/component-noise.ts';
import { decodePieces } from '../../../shared/privacy/decode-sum.ts';
import { type MechanismParameters, mechanismParameters } from '../../../shared/privacy/mechanism.ts';
import { componentsNeeded, noiseLadder } from '../../../shared/privacy/noise-ladder.ts';
import { noisedStream } from '../../../shared/privacy/noised-stream.ts';
import { Rotation } from '../../../shared/privacy/rotation.ts';
import { rotationSeed } from '../../../shared/secagg/keys.ts';
import { addInto, addStreams, type MaskStream, removeMasks } from '../../../shared/secagg/mask.ts';
import { type MaskedStream, maskStream } from '../../../shared/secagg/masked-stream.ts';
import { chunkBytesOf } from '../../../shared/secagg/upload-shape.ts';
import { names, Session, testMechanism, testUpdate } from '../../support/secagg-session.ts';

/** All pieces of a decoded sum. */
async function decoded(sum: Uint32Array, parameters: MechanismParameters, rotation: Uint8Array): Promise<Float64Array> {
  const out = new Float64Array(parameters.dimension);
  await decodePieces(sum, parameters, rotation, ({ begin, values }) => out.set(values, begin));
  return out;
}

const thin: readonly RingBits[] = [16, 20];
const seed = seededRng('rotation').bytes(32);

const mechanism = (dimension: number, ringBits: RingBits, cohortMax = 5): MechanismParameters =>
  mechanismParameters({
    dimension,
    l2Clip: 1,
    noiseMultiplier: 1,
    minimumCohort: cohortMax === 5 ? 4 : cohortMax,
    colluders: 1,
    cohortMax,
    ringBits,
    oneUnit: true,
  });

async function addWhole(sum: Uint32Array, stream: MaskedStream, bits: RingBits): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for (let i = 0, at = 0; i < stream.count; i++) {
    const { bytes } = await stream.chunk(i);
    addInto(sum, bytes, at, bits);
    at += (8 * bytes.length) / bits;
    chunks.push(bytes);
  }
  return chunks;
}

describe.each(thin)('an upload of %d bits a number', (bits) => {
  // The last block of the rotation lies in two chunks of noise.
  const dimension = CHUNK_WORDS + 1002;
  const parameters = mechanism(dimension, bits);
  const update = Float32Array.from({ length: dimension }, (_, i) => Math.sin(i) / Math.sqrt(dimension));
  const components = () =>
    [0, 1].map((c) => ({ key: seededRng(`noise ${c}`).bytes(32), sigma: parameters.localSigma }));
  const masks = (sign: 1 | -1 = 1): MaskStream[] => [{ key: seededRng('mask').bytes(32), sign }];
  const stream = async (chunkBytes: number) =>
    maskStream(await noisedStream(update, parameters, seededRng('dither'), 1, components(), seed), masks(), chunkBytes);

  test('is, without its masks and its noise, the rotated update, rounded', async () => {
    const sum = new Uint32Array(dimension);
    const chunks = await addWhole(sum, await stream(chunkBytesOf(bits)), bits);
    expect(chunks.reduce((n, { length }) => n + length, 0)).toBe(packedBytes(dimension, bits));
    await addStreams(sum, masks(-1));
    await addComponents(sum, components(), -1);
    const rotation = await Rotation.of(seed, dimension);
    let up = 0;
    await ChunkSpace.use(CHUNK_WORDS, async (space) => {
      for (let k = 0; k < rotation.blocks.count; k++) {
        const block = await rotation.forward(space, update, k);
        const begin = rotation.at(k)[0];
        for (const [i, y] of block.entries()) {
          const x = y * parameters.scale;
          const word = ((sum[begin + i] as number) << (32 - bits)) >> (32 - bits);
          if (word !== Math.floor(x) && word !== Math.ceil(x)) expect.fail(`${word} for ${x} at ${begin + i}`);
          up += word - x;
        }
      }
    });
    expect(Math.abs(up)).toBeLessThan(5 * Math.sqrt(dimension / 4));
  });

  test('is the same bytes in chunks of any size, again and again', async () => {
    const one = await addWhole(new Uint32Array(dimension), await stream(chunkBytesOf(bits)), bits);
    const odd = await stream(100_020);
    const many = await addWhole(new Uint32Array(dimension), odd, bits);
    expect(many.length).toBeGreaterThan(5);
    expect(Buffer.compare(Buffer.concat(one), Buffer.concat(many))).toBe(0);
    expect(sha256Hex((await odd.chunk(3)).bytes)).toBe(odd.hashes()[3]);
  });

  test('every byte of it is uniform', async () => {
    const [bytes] = await addWhole(new Uint32Array(dimension), await stream(chunkBytesOf(bits)), bits);
    const counts = new Float64Array(256);
    for (const byte of bytes as Uint8Array) counts[byte] = (counts[byte] as number) + 1;
    const expected = (bytes as Uint8Array).length / 256;
    const chiSquare = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    // Mean 255, standard deviation 22.6: five of them.
    expect(Math.abs(chiSquare - 255)).toBeLessThan(113);
  });

  test('a sum longer in one block than the ring has room for is refused', async () => {
    const long = new Float32Array(dimension);
    const units = Math.ceil(parameters.blockLimit) + 1;
    long[5] = units - 0.5;
    const make = (vector: Float32Array) =>
      noisedStream(vector, parameters, seededRng('dither'), units, components(), seed);
    await expect(make(long)).rejects.toMatchObject({ code: 'PRIVACY_RING_WRAPS' });
    // The same length over all blocks fits.
    await expect(make(long.fill((units - 0.5) / Math.sqrt(dimension)))).resolves.toBeDefined();
  });
});

describe.each(thin)('the sum of a session in a ring of %d bits', (bits) => {
  const low = (words: Uint32Array): Uint32Array => words.map((word) => word & (2 ** bits - 1));

  test.each([7, 301, 5_003])('d = %d: exact but for rounding, whoever drops', async (dimension) => {
    const session = new Session({ n: 6, dimension, ringBits: bits, chunkBytes: 4 * Math.ceil(dimension / 20) * 5 });
    const [first, second] = names(6) as [string, string];
    session.drops.set(first, 'shares');
    if (dimension < 1000) session.drops.set(second, 'upload');
    await session.run();
    expect(session.outcome).toBe('finished');
    expect(low(session.accumulator).join()).toBe(low(session.expectedSum()).join());

    const quiet = session.accumulator.slice();
    const { ladder, sid } = session.server.group as NonNullable<typeof session.server.group>;
    const needed = componentsNeeded(ladder, session.survivors.length);
    for (const id of session.survivors)
      for (const noise of (session.noises.get(id) as readonly Uint32Array[]).slice(0, needed))
        for (const [i, word] of noise.entries()) quiet[i] = (quiet[i] as number) - word;
    const mechanism = testMechanism(dimension, bits);
    const sum = await decoded(quiet, mechanism, rotationSeed(sid));
    const m = session.survivors.length;
    const off = sum.map((x, i) => (x - m * (testUpdate(dimension)[i] as number)) * mechanism.scale);
    // Each client's rounding has a standard deviation of at most ½ in each number: twice that.
    expect(Math.sqrt(off.reduce((square, x) => square + x * x, 0))).toBeLessThan(2 * Math.sqrt((m * dimension) / 4));
  });

  test('carries the committed noise, whoever drops: a million numbers, within 1 %', async () => {
    const dimension = 2 ** 20 + 33;
    const parameters = mechanism(dimension, bits);
    const ladder = noiseLadder({
      committedSigma: parameters.committedSigma,
      clients: 5,
      minimumCohort: 4,
      colluders: 1,
    });
    const update = new Float32Array(dimension).fill(0.9 / Math.sqrt(dimension));
    for (const survivors of [5, 4]) {
      const sum = new Uint32Array(dimension);
      const key = (what: string) => seededRng(`${bits} ${survivors} ${what}`).bytes(32);
      const surplus = [];
      for (let client = 0; client < survivors; client++) {
        const noise = ladder.sigmas.map((sigma, k) => ({ key: key(`${client} ${k}`), sigma }));
        surplus.push(
          ...noise.slice(componentsNeeded(ladder, survivors)).map(({ key, sigma }) => ({ key: key.slice(), sigma })),
        );
        const noised = await noisedStream(update, parameters, seededRng(`dither ${client}`), 1, noise, seed);
        const mask: MaskStream = { key: key(`mask ${client}`), sign: 1 };
        await addWhole(sum, await maskStream(noised, [mask], chunkBytesOf(bits)), bits);
      }
      const selfSeeds = Array.from({ length: survivors }, (_, c): MaskStream => ({ key: key(`mask ${c}`), sign: -1 }));
      await removeMasks(sum, { selfSeeds, pairwise: [], surplus });
      const opened = await decoded(sum, parameters, seed);
      const mean = survivors * (update[0] as number);
      const variance = opened.reduce((square, x) => square + (x - mean) ** 2, 0) / dimension;
      const kept = ladder.sigmas.slice(0, componentsNeeded(ladder, survivors));
      const claimed = (survivors * kept.reduce((v, sigma) => v + sigma * sigma, 0)) / parameters.scale ** 2;
      expect(Math.abs(variance / claimed - 1)).toBeLessThan(0.01);
      // What the accountant counts on is a part of it: of the honest clients, after rounding is paid for.
      expect((variance * (survivors - 1)) / survivors).toBeGreaterThan(0.99);
    }
  });
});
