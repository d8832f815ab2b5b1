import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TacitError } from '../../shared/core/errors.ts';
import { roundBfloat, roundHalf, widenBfloat, widenHalf } from '../../shared/tensor/half.ts';
import { readSafetensors, toFloat32 } from '../../shared/tensor/safetensors.ts';
import { conformanceCommand } from './command.ts';
import { type Finding, same, verdictOf } from './findings.ts';

interface BadFiles {
  readonly files: { file: string; reason: string; expect: string }[];
}
type Written = number | string | boolean;
interface Dtypes {
  readonly file: string;
  readonly metadata: Record<string, string>;
  readonly tensors: Record<string, { dtype: string; shape: number[]; values: Written[] }>;
  readonly rounding: Record<'float32' | 'float16' | 'bfloat16', Written[]>;
}

/** Checks a directory that holds `safetensors-bad/index.json`, or `dtype.json` and its file, as test/vectors does. */
export function checkSafetensors(dir: string): Finding[] {
  const bad = join(dir, 'safetensors-bad/index.json');
  const dtypes = join(dir, 'dtype.json');
  const parsed = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;
  return [
    ...(existsSync(bad) ? parsed<BadFiles>(bad).files.map((file) => badFinding(dir, file)) : []),
    ...(existsSync(dtypes) ? dtypeFindings(dir, parsed<Dtypes>(dtypes)) : []),
  ];
}

/** `reject`: a coded error that names the file. `load`: it reads. Both words: either. Never any other error, or a touched prototype. */
function badFinding(dir: string, { file, reason, expect }: BadFiles['files'][number]): Finding {
  const outcome = readingOf(readFileSync(join(dir, file)), file);
  const allowed = [
    ...(expect.includes('reject') ? ['rejected'] : []),
    ...(expect.startsWith('load') || expect.endsWith('or-load') ? ['loaded'] : []),
  ];
  return same(`malformed: ${file}: ${reason}: ${outcome}`, allowed.includes(outcome), true);
}

function readingOf(bytes: Uint8Array, file: string): string {
  try {
    const { tensors } = readSafetensors(bytes, file);
    // One named __proto__ must not be lost.
    if (tensors.size === 0 && Buffer.from(bytes).includes('"data_offsets"')) return 'loaded nothing';
    return 'dtype' in {} ? 'touched the prototype' : 'loaded';
  } catch (error) {
    if (!(error instanceof TacitError)) return `threw ${String(error)}`;
    const coded = /^SAFETENSORS_(INVALID|DTYPE)$/.test(error.code) && (error.where ?? '').includes(file);
    return coded ? 'rejected' : `rejected as ${error.code} at ${error.where ?? 'nowhere'}`;
  }
}

function dtypeFindings(dir: string, dtype: Dtypes): Finding[] {
  const file = readSafetensors(readFileSync(join(dir, dtype.file)), dtype.file);
  const tensors = Object.entries(dtype.tensors).flatMap(([name, want]): Finding[] => {
    const tensor = file.tensors.get(name);
    if (tensor === undefined) return [same(`dtype: ${name} is there`, false, true)];
    const values = toFloat32(tensor);
    const floats = /^(BF|F)/.test(want.dtype);
    return [
      same(`dtype: ${name}, type and shape`, [tensor.dtype, tensor.shape], [want.dtype, want.shape]),
      same(
        `dtype: ${name}, values`,
        values === undefined ? null : [...values],
        floats ? want.values.map(Number) : null,
      ),
    ];
  });
  const single = Float32Array.from(dtype.rounding.float32, Number);
  return [
    same('dtype: metadata', [...file.metadata].sort(), Object.entries(dtype.metadata).sort()),
    ...tensors,
    same('rounding: float16', [...widenHalf(roundHalf(single))], dtype.rounding.float16.map(toSingle)),
    same('rounding: bfloat16', [...widenBfloat(roundBfloat(single))], dtype.rounding.bfloat16.map(toSingle)),
  ];
}

const toSingle = (value: Written): number => Math.fround(Number(value));

await conformanceCommand(import.meta.url, 'npm run conformance:safetensors -- DIR', ([dir]) =>
  verdictOf(checkSafetensors(dir as string), (what) => what.split(':')[0] as string),
);
