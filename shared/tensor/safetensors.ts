import { concat, utf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { roundHalf, widenBfloat, widenHalf } from './half.ts';
import { jsonFault } from './json-faults.ts';
import type { NamedTensor, Weights } from './named.ts';

export type SafetensorsErrorCode = 'SAFETENSORS_INVALID' | 'SAFETENSORS_DTYPE';

/** Bytes of one element; other dtypes of the format are refused by name. */
const elementBytes: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
};
/** The format's own limit on the header (safetensors, `MAX_HEADER_SIZE`). */
const maxHeaderBytes = 100_000_000;

export interface StoredTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Little-endian elements, a view into the file. */
  readonly bytes: Uint8Array;
}

export interface SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/**
 * Reads the safetensors format (huggingface/safetensors, README "Format"): every claim of the header is checked against
 * the bytes there are before anything is allocated; tensors must cover the data exactly, without holes or overlaps.
 * @throws SAFETENSORS_INVALID, SAFETENSORS_DTYPE naming file and tensor
 */
export function readSafetensors(file: Uint8Array, where: string): SafetensorsFile {
  const header = parseHeader(file, where);
  const data = file.subarray(8 + header.bytes);
  const spans = header.tensors.map(([name, value]) => span(name, value, data.length, where));
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { name, begin, end } of spans) {
    if (begin !== at)
      throw invalid(where, `${name} begins at byte ${begin} of the data, expected ${at} (hole or overlap)`);
    at = end;
  }
  if (at !== data.length) throw invalid(where, `the tensors end at byte ${at} of ${data.length} bytes of data`);
  const tensors = spans.map(({ name, dtype, shape, begin, end }): [string, StoredTensor] => [
    name,
    { name, dtype, shape, bytes: data.subarray(begin, end) },
  ]);
  return { metadata: header.metadata, tensors: new Map(tensors) };
}

/**
 * All floating-point tensors of a file, widened (F64: rounded) to float32. Integer and boolean buffers (`position_ids`)
 * are left out.
 * @throws SAFETENSORS_INVALID, SAFETENSORS_DTYPE, also for a weight or bias that is not floating point
 */
export function readWeights(file: Uint8Array, where: string): Map<string, NamedTensor> {
  const out = new Map<string, NamedTensor>();
  for (const tensor of readSafetensors(file, where).tensors.values()) {
    const data = toFloat32(tensor);
    if (data === undefined && /(^|\.)(weight|bias)$/.test(tensor.name)) {
      throw new TacitError<SafetensorsErrorCode>('SAFETENSORS_DTYPE', `it is ${tensor.dtype}, no floating-point type`, {
        where: `${where}: ${tensor.name}`,
        fix: 'Expected F32, F16, BF16 or F64: use the unquantised checkpoint.',
      });
    }
    if (data !== undefined) out.set(tensor.name, { name: tensor.name, shape: tensor.shape, data });
  }
  return out;
}

/** Float values, or undefined for a dtype that is not floating point. F32 on a 4-byte boundary is a view, not a copy. */
// Copies by constructor: a Node Buffer's own `slice` would share memory.
export function toFloat32({ dtype, bytes }: StoredTensor): Float32Array | undefined {
  switch (dtype) {
    case 'F32': {
      const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
      return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
    }
    case 'F16':
      return widenHalf(new Uint16Array(new Uint8Array(bytes).buffer));
    case 'BF16':
      return widenBfloat(new Uint16Array(new Uint8Array(bytes).buffer));
    case 'F64':
      return Float32Array.from(new Float64Array(new Uint8Array(bytes).buffer));
    default:
      return undefined;
  }
}

/** A safetensors file of these tensors in their order, header padded to 8 bytes as Python's writer does. */
export function writeSafetensors(
  weights: Weights,
  options: { readonly dtype?: 'F32' | 'F16'; readonly metadata?: Readonly<Record<string, string>> } = {},
): Uint8Array {
  const dtype = options.dtype ?? 'F32';
  const parts: Uint8Array[] = [];
  const entries: [string, unknown][] = [['__metadata__', { format: 'pt', ...options.metadata }]];
  let at = 0;
  for (const { name, shape, data } of weights.values()) {
    const stored = dtype === 'F16' ? roundHalf(data) : data;
    const bytes = new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
    entries.push([name, { dtype, shape, data_offsets: [at, at + bytes.length] }]);
    at += bytes.length;
    parts.push(bytes);
  }
  // Built pair by pair: an object literal would lose a tensor that is named like a prototype property.
  const json = `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
  const text = utf8(json);
  const header = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  header.set(text);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  return concat(length, header, ...parts);
}

interface Header {
  readonly bytes: number;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: readonly (readonly [string, unknown])[];
}

function parseHeader(file: Uint8Array, where: string): Header {
  if (file.length < 8) throw invalid(where, `${file.length} bytes are too few for the 8-byte header length`);
  const length = new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes))
    throw invalid(where, `a header of ${length} bytes is above the limit of ${maxHeaderBytes}`);
  const bytes = Number(length);
  if (bytes > file.length - 8) throw invalid(where, `the header says ${bytes} bytes, ${file.length - 8} follow`);
  const json = headerJson(file.subarray(8, 8 + bytes), where);
  const entries = Object.entries(json);
  return {
    bytes,
    metadata: metadataOf(entries.find(([name]) => name === '__metadata__')?.[1], where),
    tensors: entries.filter(([name]) => name !== '__metadata__'),
  };
}

function headerJson(bytes: Uint8Array, where: string): Record<string, unknown> {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid(where, 'the header is not JSON in UTF-8', cause);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw invalid(where, 'the header is not a JSON object');
  if (!text.startsWith('{')) throw invalid(where, 'the header does not begin with {');
  const fault = jsonFault(text);
  if (fault !== undefined) throw invalid(where, `${fault} in the header`);
  return json as Record<string, unknown>;
}

function metadataOf(value: unknown, where: string): Map<string, string> {
  if (value === undefined) return new Map();
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(where, '__metadata__ is not an object');
  const entries = Object.entries(value);
  for (const [key, text] of entries)
    if (typeof text !== 'string') throw invalid(where, `__metadata__.${key} is not a string`);
  return new Map(entries as [string, string][]);
}

interface Span {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function span(name: string, value: unknown, dataBytes: number, where: string): Span {
  const at = `${where}: ${name}`;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(at, 'its description is not an object');
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== 'string') throw invalid(at, 'its dtype is not a string');
  const size = Object.hasOwn(elementBytes, dtype) ? elementBytes[dtype] : undefined;
  if (size === undefined) {
    throw new TacitError<SafetensorsErrorCode>('SAFETENSORS_DTYPE', `dtype ${dtype} is not known`, {
      where: at,
      fix: `Known: ${Object.keys(elementBytes).join(', ')}.`,
    });
  }
  if (!isCounts(shape)) throw invalid(at, 'its shape is not a list of whole numbers');
  if (!isCounts(offsets) || offsets.length !== 2) throw invalid(at, 'its data_offsets are not two whole numbers');
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataBytes)
    throw invalid(at, `bytes ${begin}..${end} are not in the ${dataBytes} bytes of data`);
  const bytes = shape.reduce((product, d) => product * BigInt(d), BigInt(size));
  if (bytes !== BigInt(end - begin))
    throw invalid(at, `${dtype} [${shape}] needs ${bytes} bytes, ${end - begin} are declared`);
  return { name, dtype, shape, begin, end };
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((d) => Number.isSafeInteger(d) && d >= 0);
}

function invalid(where: string, what: string, cause?: unknown): TacitError<SafetensorsErrorCode> {
  return new TacitError<SafetensorsErrorCode>('SAFETENSORS_INVALID', what, {
    where,
    fix: 'The file is damaged or not safetensors: fetch it again.',
    ...(cause === undefined ? {} : { cause }),
  });
}
