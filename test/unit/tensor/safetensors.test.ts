import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TacitError } from '../../../shared/core/errors.ts';
import { roundHalf, widenHalf } from '../../../shared/tensor/half.ts';
import { readSafetensors, readWeights, writeSafetensors } from '../../../shared/tensor/safetensors.ts';
import { failed } from '../../conformance/findings.ts';
import { checkSafetensors } from '../../conformance/safetensors.ts';

const vectors = 'test/vectors';

it('refuses every malformed file by name, and widens and rounds every type bit for bit', () => {
  const findings = checkSafetensors(vectors);
  expect(findings.filter(failed)).toEqual([]);
  expect(findings.length).toBeGreaterThan(55);
});

describe('malformed safetensors', () => {
  it('never crashes and never believes a length, whichever byte of a good file is changed', () => {
    const good = writeSafetensors(new Map([['a', { name: 'a', shape: [2, 3], data: new Float32Array(6) }]]));
    for (let i = 0; i < good.length; i++) {
      for (const value of [0, 0x22, 0x7b, 0xff]) {
        const changed = good.slice();
        changed[i] = value;
        try {
          readWeights(changed, 'fuzzed');
        } catch (error) {
          expect(error).toBeInstanceOf(TacitError);
        }
      }
    }
  });

  it('refuses a name that occurs twice even when the bytes add up', () => {
    const header =
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    const file = new Uint8Array(8 + header.length + 4);
    new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
    file.set(new TextEncoder().encode(header), 8);
    expect(() => readSafetensors(file, 'twice')).toThrow(/occurs twice/);
  });
});

it('rounds every half to itself', () => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter(
    (h) => (h & 0x7c00) !== 0x7c00 || (h & 0x3ff) === 0,
  );
  expect(roundHalf(widenHalf(all))).toEqual(all);
});

it('writes what it reads, in both widths', () => {
  const weights = readWeights(readFileSync(`${vectors}/bert-tiny/model.safetensors`), 'model');
  expect(readWeights(writeSafetensors(weights), 'again')).toEqual(weights);
  const half = readWeights(writeSafetensors(weights, { dtype: 'F16' }), 'half');
  for (const [name, { data }] of weights) expect(half.get(name)?.data).toEqual(widenHalf(roundHalf(data)));
});
