import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorCode, TacitError } from '../../../shared/core/errors.ts';
import { roundBfloat, roundHalf, widenBfloat, widenHalf } from '../../../shared/tensor/half.ts';
import { readSafetensors, readWeights, toFloat32, writeSafetensors } from '../../../shared/tensor/safetensors.ts';

interface BadFile {
  readonly file: string;
  readonly reason: string;
  readonly expect: string;
}
const vectors = 'test/vectors';
const bad = JSON.parse(readFileSync(`${vectors}/safetensors-bad/index.json`, 'utf8')) as { files: BadFile[] };

describe('malformed safetensors', () => {
  it.each(bad.files.filter((f) => f.expect === 'reject'))('$file: $reason', ({ file }) => {
    const bytes = readFileSync(`${vectors}/${file}`);
    let caught: unknown;
    try {
      readSafetensors(bytes, file);
    } catch (error) {
      caught = error;
    }
    expect(errorCode(caught)).toMatch(/^SAFETENSORS_(INVALID|DTYPE)$/);
    expect((caught as TacitError).where).toContain(file);
  });

  it.each(bad.files.filter((f) => f.expect !== 'reject'))('$file: $reason', ({ file }) => {
    const { tensors } = readSafetensors(readFileSync(`${vectors}/${file}`), file);
    expect(tensors.size).toBeGreaterThan(0);
    expect(({} as Record<string, unknown>)['dtype']).toBeUndefined();
  });

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

describe('dtypes', () => {
  const dtype = JSON.parse(readFileSync(`${vectors}/dtype.json`, 'utf8')) as {
    metadata: Record<string, string>;
    tensors: Record<string, { dtype: string; shape: number[]; values: (number | string | boolean)[] }>;
    rounding: Record<'float32' | 'float16' | 'bfloat16', (number | string)[]>;
  };
  const file = readSafetensors(readFileSync(`${vectors}/dtype.safetensors`), 'dtype.safetensors');
  const numbers = (values: readonly (number | string | boolean)[]): number[] => values.map(Number);

  it('has the metadata', () => expect(Object.fromEntries(file.metadata)).toEqual(dtype.metadata));

  it.each(Object.entries(dtype.tensors))('%s is read bit for bit', (name, want) => {
    const tensor = file.tensors.get(name);
    expect(tensor).toMatchObject({ dtype: want.dtype, shape: want.shape });
    const values = toFloat32(tensor as NonNullable<typeof tensor>);
    if (/^(BF|F)/.test(want.dtype)) expect([...(values as Float32Array)]).toEqual(numbers(want.values));
    else expect(values).toBeUndefined();
  });

  it('rounds to nearest, ties to even', () => {
    const input = Float32Array.from(numbers(dtype.rounding.float32));
    expect([...widenHalf(roundHalf(input))]).toEqual([...Float32Array.from(numbers(dtype.rounding.float16))]);
    expect([...widenBfloat(roundBfloat(input))]).toEqual([...Float32Array.from(numbers(dtype.rounding.bfloat16))]);
  });

  it('rounds every half to itself', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter(
      (h) => (h & 0x7c00) !== 0x7c00 || (h & 0x3ff) === 0,
    );
    expect(roundHalf(widenHalf(all))).toEqual(all);
  });
});

it('writes what it reads, in both widths', () => {
  const weights = readWeights(readFileSync(`${vectors}/bert-tiny/model.safetensors`), 'model');
  expect(readWeights(writeSafetensors(weights), 'again')).toEqual(weights);
  const half = readWeights(writeSafetensors(weights, { dtype: 'F16' }), 'half');
  for (const [name, { data }] of weights) expect(half.get(name)?.data).toEqual(widenHalf(roundHalf(data)));
});
