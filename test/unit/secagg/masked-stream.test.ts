import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../../shared/core/hash.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { CHUNK_WORDS, ChunkSpace } from '../../../shared/kernels/chunk-space.ts';
import { addComponents } from '../../../shared/privacy/component-noise.ts';
import { mechanismParameters } from '../../../shared/privacy/mechanism.ts';
import { isNoisedStream, type NoisedStream, noisedStream } from '../../../shared/privacy/noised-stream.ts';
import { addInto, addStreams, type MaskStream } from '../../../shared/secagg/mask.ts';
import { isMaskedStream, type MaskedStream, maskStream } from '../../../shared/secagg/masked-stream.ts';

const dimension = CHUNK_WORDS + 1003;
const mechanism = mechanismParameters({
  dimension,
  l2Clip: 1,
  noiseMultiplier: 1,
  minimumCohort: 4,
  colluders: 0,
  cohortMax: 64,
  ringBits: 32,
});
const sum = Float32Array.from({ length: dimension }, (_, i) => Math.sin(i) / Math.sqrt(dimension));
const components = () =>
  [0, 1].map((c) => ({ key: seededRng(`component ${c}`).bytes(32), sigma: mechanism.localSigma }));
const unused = new Uint8Array(32);
const noised = (vector = sum) => noisedStream(vector, mechanism, seededRng('dither'), 1, components(), unused);
const masks = (): MaskStream[] =>
  [0, 1, 2].map((m) => ({ key: seededRng(`mask ${m}`).bytes(32), sign: m === 1 ? -1 : 1 }));

async function whole(stream: MaskedStream): Promise<Uint32Array> {
  const out = new Uint32Array(dimension);
  for (let i = 0, at = 0; i < stream.count; i++) {
    const { bytes } = await stream.chunk(i);
    addInto(out, bytes, at, 32);
    at += bytes.length / 4;
    stream.giveBack(bytes);
  }
  return out;
}

describe('an update that is noised and masked while it is sent', () => {
  test('is, without its masks and its noise, the rounded update', async () => {
    const vector = await whole(await maskStream(await noised(), masks(), 1 << 20));
    await addStreams(vector, masks().map(({ key, sign }) => ({ key, sign: sign === 1 ? -1 : 1 }))); // biome-ignore format: short
    await addComponents(vector, components(), -1);
    let up = 0;
    for (let i = 0; i < dimension; i++) {
      const x = (sum[i] as number) * mechanism.scale;
      const rounded = (vector[i] as number) >> 0;
      if (rounded !== Math.floor(x) && rounded !== Math.ceil(x)) expect.fail(`${rounded} for ${x}`);
      up += rounded - x;
    }
    // Rounding is unbiased: five standard errors.
    expect(Math.abs(up)).toBeLessThan(5 * Math.sqrt(dimension / 4));
  });

  test('is the same bytes in any order, again and again, and in chunks of any size', async () => {
    const stream = await maskStream(await noised(), masks(), 1 << 20);
    expect(() => stream.hashes()).toThrow(expect.objectContaining({ code: 'SECAGG_SHAPE' }));
    const last = await stream.chunk(1);
    expect(last.bytes).toHaveLength(4 * 1003);
    const first = await stream.chunk(0);
    expect(await stream.chunk(1)).toEqual(last);
    expect(stream.hashes()).toEqual([sha256Hex(first.bytes), sha256Hex(last.bytes)]);
    const odd = await maskStream(await noised(), masks(), 400_012);
    expect(odd.count).toBe(3);
    expect(Buffer.compare(Buffer.from((await whole(odd)).buffer), Buffer.concat([first.bytes, last.bytes]))).toBe(0);
  });

  test('is made in the memory that was given back, where the length is the same', async () => {
    const stream = await maskStream(await noised(), masks(), 1 << 20);
    const { bytes, sha256 } = await stream.chunk(0);
    stream.giveBack(bytes);
    expect((await stream.chunk(1)).bytes.buffer).not.toBe(bytes.buffer);
    stream.giveBack(bytes.fill(1));
    const again = await stream.chunk(0);
    expect(again.bytes).toBe(bytes);
    expect(again.sha256).toBe(sha256);
  });

  test('under one mask only one message leaves: a vector that changed meanwhile is refused', async () => {
    const vector = sum.slice();
    const stream = await maskStream(await noised(vector), masks(), 1 << 20);
    await stream.chunk(0);
    vector[5] = 0.001;
    await expect(stream.chunk(0)).rejects.toMatchObject({ code: 'SECAGG_MASK_REUSED' });
  });

  test('is masked once; keys are erased; after the upload nothing is made any more', async () => {
    const keys = masks();
    const noise = components();
    const source = await noisedStream(sum, mechanism, seededRng('dither'), 1, noise, unused);
    const stream = await maskStream(source, keys, 1 << 20);
    for (const { key } of [...keys, ...noise]) expect(key).toEqual(new Uint8Array(32));
    await expect(maskStream(source, masks(), 1 << 20)).rejects.toMatchObject({ code: 'SECAGG_MASK_REUSED' });
    await expect(maskStream(await noised(), [], 1 << 20)).rejects.toMatchObject({ code: 'SECAGG_MASK_REUSED' });
    await expect(stream.chunk(2)).rejects.toMatchObject({ code: 'SECAGG_SHAPE' });
    stream.close();
    await expect(stream.chunk(0)).rejects.toMatchObject({ code: 'SECAGG_MASK_REUSED' });
  });

  test('what was not noised cannot be masked, what was not masked is not a masked stream, whatever its shape', async () => {
    const made = await noised();
    const like = { dimension, chunk: made.chunk.bind(made) };
    // @ts-expect-error a plain object is not a NoisedStream
    const forged: NoisedStream = like;
    await expect(maskStream(forged, masks(), 16)).rejects.toMatchObject({ code: 'SECAGG_MASK_REUSED' });
    expect([isNoisedStream(made), isNoisedStream(like), isMaskedStream(made)]).toEqual([true, false, false]);
    const stream = await maskStream(made, masks(), 1 << 20);
    expect([isMaskedStream(stream), isMaskedStream({ ...stream })]).toEqual([true, false]);
    const Forge = made.constructor as new (key: symbol, making: unknown) => NoisedStream;
    expect(() => new Forge(Symbol('noised stream'), { sum })).toThrow(/noisedStream/);
  });

  test('less noise than a share of the largest cohort, or a sum that was not clipped, makes no stream', async () => {
    const little = [{ key: new Uint8Array(32), sigma: 0.2 * mechanism.localSigma }];
    await expect(noisedStream(sum, mechanism, seededRng('x'), 1, little, unused)).rejects.toMatchObject({
      code: 'PRIVACY_NOISE_TOO_SMALL',
    });
    const long = new Float32Array(dimension).fill(1);
    await expect(noised(long)).rejects.toMatchObject({ code: 'PRIVACY_NORM_EXCEEDED' });
  });

  test('chunks of the noised vector beyond its end are empty', async () => {
    await ChunkSpace.use(16, async (space) => expect(await (await noised()).chunk(space, 2)).toBe(0));
  });
});
