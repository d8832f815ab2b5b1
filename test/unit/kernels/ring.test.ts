import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRng } from '../../../shared/core/rng.ts';
import { type FieldKernels, fieldInWasm } from '../../../shared/kernels/field.ts';
import { evaluateInTypeScript, multiplyAddInTypeScript } from '../../../shared/kernels/field-js.ts';
import { Workspace } from '../../../shared/kernels/module.ts';
import { CELL_BITS, type RingKernels, ringInWasm } from '../../../shared/kernels/ring.ts';
import { ringInTypeScript } from '../../../shared/kernels/ring-js.ts';

function wasmRing(bytes: number): { ring: RingKernels; space: Workspace } {
  const space = new Workspace(bytes);
  const ring = ringInWasm(space);
  if (ring === undefined) throw new Error('this platform has no WebAssembly SIMD');
  return { ring, space };
}

function random(seed: string, count: number): Uint32Array {
  return new Uint32Array(seededRng(seed).bytes(4 * count).buffer, 0, count);
}

const cases = fc.record({ seed: fc.string(), count: fc.integer({ min: 0, max: 300 }) });

describe('WebAssembly and TypeScript give the same bytes', () => {
  test.each(['add', 'subtract'] as const)('%s', (name) => {
    fc.assert(
      fc.property(cases, ({ seed, count }) => {
        const { ring, space } = wasmRing(16 * count + 64);
        const [target, words] = [space.words(count), space.words(count)];
        target.set(random(`${seed} target`, count));
        words.set(random(`${seed} words`, count));
        const twin = target.slice();
        ringInTypeScript[name](twin, words.slice());
        ring[name](target, words);
        expect(target).toEqual(twin);
      }),
    );
  });

  test('quantise, with values of every size that the ring holds', () => {
    fc.assert(
      fc.property(cases, fc.double({ min: 1e-3, max: 1e6, noNaN: true }), ({ seed, count }, scale) => {
        const { ring, space } = wasmRing(16 * count + 64);
        const [out, values, words] = [space.words(count), space.floats(count), space.words(count)];
        words.set(random(`${seed} words`, count));
        const sizes = random(`${seed} sizes`, count);
        random(`${seed} values`, count).forEach((bits, i) => {
          const size = 2 ** (((sizes[i] as number) % 60) - 30);
          values[i] = Math.max(-1, Math.min(1, (bits / 2 ** 31 - 1) * size)) * ((2 ** 31 - 256) / scale);
        });
        const twin = new Uint32Array(count);
        ringInTypeScript.quantise(twin, values.slice(), words.slice(), scale);
        ring.quantise(out, values, words, scale);
        expect(out).toEqual(twin);
      }),
    );
  });

  test('noise, added and taken away, with many escapes', () => {
    const tables = fc.record({
      offsetBits: fc.integer({ min: 0, max: 18 }),
      escapes: fc.integer({ min: 1, max: 2048 }),
    });
    fc.assert(
      fc.property(cases, tables, fc.constantFrom(1, -1), ({ seed, count }, { offsetBits, escapes }, sign) => {
        const { ring, space } = wasmRing(12 * count + 4 * 2 ** CELL_BITS + 128);
        const [target, words, positions] = [space.words(count), space.words(count), space.words(count)];
        const cells = space.words(2 ** CELL_BITS);
        target.set(random(`${seed} target`, count));
        words.set(random(`${seed} words`, count));
        cells.set(random(`${seed} cells`, cells.length));
        // Every third word hits its threshold exactly, every fifth is an escape or the first that is none.
        for (let i = 0; i < count; i += 3) {
          const cell = (words[i] as number) >>> 19;
          words[i] = cell * 2 ** 19 + ((cells[cell] as number) & (2 ** 19 - 1));
        }
        const limit = -(2 ** 31) + escapes * 2 ** 19;
        for (let i = 0; i < count; i += 5) words[i] = limit - (i & 1);
        const table = { cells, offsetBits, limit };
        const [twin, twinPositions] = [target.slice(), new Uint32Array(count)];
        const twins = ringInTypeScript.noise(twin, words.slice(), table, sign, twinPositions);
        const found = ring.noise(target, words, table, sign, positions);
        expect(found).toBe(twins);
        expect(twins).toBeGreaterThanOrEqual(Math.floor(count / 10));
        expect(target).toEqual(twin);
        expect(positions.subarray(0, found)).toEqual(twinPositions.subarray(0, twins));
      }),
      { numRuns: 60 },
    );
  });

  test('the field: evaluation and scaled addition at every point', () => {
    for (let x = 0; x < 256; x++) {
      const space = new Workspace(8192);
      const field = fieldInWasm(space) as FieldKernels;
      const [out, coefficients] = [space.words(8), space.words(8 * 9)];
      coefficients.set(random(`coefficients ${x}`, 8 * 9));
      const twin = new Uint32Array(8);
      evaluateInTypeScript(twin, coefficients.slice(), x);
      field.evaluate(out, coefficients, x);
      expect(out).toEqual(twin);
      multiplyAddInTypeScript(twin, coefficients.slice(8, 16), x);
      field.multiplyAdd(out, coefficients.subarray(8, 16), x);
      expect(out).toEqual(twin);
    }
  });
});

test('a kernel never reads or writes outside of what it was given', () => {
  const { ring, space } = wasmRing(1024);
  const [target, words] = [space.words(4), space.words(8)];
  expect(() => ring.add(target, words)).toThrow(RangeError);
  expect(() => ring.add(space.words(8), new Uint32Array(8))).toThrow(/workspace/);
  expect(() => ring.quantise(words, space.floats(4), space.words(8), 1)).toThrow(RangeError);
  expect(() => space.words(1 << 20)).toThrow(/full/);
});
