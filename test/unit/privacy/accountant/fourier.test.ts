import { describe, expect, it } from 'vitest';
import { seededRng } from '../../../../shared/core/rng.ts';
import { forwardPair, inversePair, transformError } from '../../../../shared/privacy/accountant/fourier.ts';

const uniform = (length: number): Float64Array =>
  Float64Array.from(seededRng('fourier').bytes(length), (byte) => byte / 256);

describe('the transform of two real vectors', () => {
  it.each([8, 16, 128, 1024, 2048])('of length %d is the sum it stands for, within its stated error', (size) => {
    const pair = uniform(2 * size);
    const { first, second } = forwardPair(pair.slice(), size);
    const total = pair.reduce((sum, x) => sum + x, 0);
    for (let k = 0; k <= size / 2; k += Math.max(1, size / 64)) {
      for (const [part, spectrum] of [first, second].entries()) {
        let re = 0;
        let im = 0;
        for (let j = 0; j < size; j++) {
          const angle = (-2 * Math.PI * ((j * k) % size)) / size;
          re += (pair[2 * j + part] as number) * Math.cos(angle);
          im += (pair[2 * j + part] as number) * Math.sin(angle);
        }
        const gap = Math.hypot((spectrum[2 * k] as number) - re, (spectrum[2 * k + 1] as number) - im);
        // The plain sum rounds too, up to once for every element.
        expect(gap).toBeLessThan((transformError(size) + size * 2 ** -52) * total);
      }
    }
  });

  it.each([8, 32, 4096, 2 ** 17])('of length %d and back is the identity', (size) => {
    const pair = uniform(2 * size);
    const back = inversePair(forwardPair(pair.slice(), size), size);
    let worst = 0;
    for (let i = 0; i < pair.length; i++) worst = Math.max(worst, Math.abs((back[i] as number) - (pair[i] as number)));
    expect(worst).toBeLessThan(1e-14);
  });
});
