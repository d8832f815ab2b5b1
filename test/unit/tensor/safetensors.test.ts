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

  const file = (header: string): Uint8Array => {
    const out = new Uint8Array(8 + header.length + 4);
    new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
    out.set(new TextEncoder().encode(header), 8);
    return out;
  };
  const one = (shape: string, offsets = '[0,4]'): string =>
    `{"dtype":"F32","shape":${shape},"data_offsets":${offsets}}`;

  it('refuses what JSON.parse passes over in silence, as safetensors for Python does', () => {
    const invalid = (what: RegExp) =>
      expect.objectContaining({ code: 'SAFETENSORS_INVALID', message: expect.stringMatching(what) });
    expect(() => readSafetensors(file(`{"a":${one('[1]')},"\\u0061":${one('[1]')}}`), 'f')).toThrow(
      invalid(/"a" occurs twice/),
    );
    expect(() => readSafetensors(file(`{"\\\\":${one('[1]')},"\\\\":${one('[1]')}}`), 'f')).toThrow(
      invalid(/occurs twice/),
    );
    for (const header of [one('[1.0]'), one('[1e0]'), one('[1E0]'), one('[1]', '[-0,4]'), one('[1]', '[0.0,4]')])
      expect(() => readSafetensors(file(`{"a":${header}}`), 'f')).toThrow(invalid(/whole one/));
    expect(() => readSafetensors(file(`{"a\\ud800":${one('[1]')}}`), 'f')).toThrow(invalid(/half a character/));
    // The same signs in a text or a literal are nothing.
    const odd = `{"-1.5e3E{[\\"":${one('[1]')},"__metadata__":{"-":"1e5","a":"\\ud83d\\ude00"}}`;
    expect([...readSafetensors(file(odd), 'f').tensors.keys()]).toEqual(['-1.5e3E{["']);
  });

  it('reads a name of any length', () => {
    expect(readSafetensors(file(`{"${'x'.repeat(20_000_000)}":${one('[1]')}}`), 'f').tensors.size).toBe(1);
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
