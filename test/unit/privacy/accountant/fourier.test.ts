import { describe, expect, it } from 'vitest';
import { seededRng } from '../../../../shared/core/rng.ts';
import {
  forwardReal,
  inverseReal,
  transformError,
  transformLength,
} from '../../../../shared/privacy/accountant/fourier.ts';

const uniform = (length: number): Float64Array =>
  Float64Array.from(seededRng('fourier').bytes(length), (byte) => byte / 256);

describe('the transform of a real vector', () => {
  it.each([16, 128, 768, 1024, 1536, 2048, 3072])('of length %d is the sum it stands for, within its error', (size) => {
    const vector = uniform(size);
    const spectrum = forwardReal(vector.slice());
    const total = vector.reduce((sum, x) => sum + x, 0);
    for (let k = 0; k <= size / 2; k += Math.max(1, Math.floor(size / 100))) {
      let re = 0;
      let im = 0;
      for (let j = 0; j < size; j++) {
        const angle = (-2 * Math.PI * ((j * k) % size)) / size;
        re += (vector[j] as number) * Math.cos(angle);
        im += (vector[j] as number) * Math.sin(angle);
      }
      const gap = Math.hypot((spectrum[2 * k] as number) - re, (spectrum[2 * k + 1] as number) - im);
      // The plain sum rounds too, up to once for every element.
      expect(gap).toBeLessThan((transformError(size) + size * 2 ** -52) * total);
    }
  });

  it.each([16, 32, 96, 4096, 6144, 2 ** 17, 3 * 2 ** 16])('of length %d and back is the identity', (size) => {
    const vector = uniform(size);
    const back = inverseReal(forwardReal(vector.slice()));
    let worst = 0;
    for (let i = 0; i < size; i++) worst = Math.max(worst, Math.abs((back[i] as number) - (vector[i] as number)));
    expect(worst).toBeLessThan(1e-14);
  });

  it('takes lengths 2^a and 3·2^a: the least that is long enough', () => {
    expect([1, 700, 1024, 1025, 1537, 3000, 3073, 2 ** 20 + 1].map(transformLength)).toEqual([
      768,
      768,
      1024,
      1536,
      2048,
      3072,
      4096,
      3 * 2 ** 19,
    ]);
  });
});
