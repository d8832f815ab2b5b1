import { gemmWasm } from './generated/gemm.ts';
import { instantiate } from './module.ts';

/** Bytes that the kernel needs beside the matrices: packed panels and one tile. */
export const GEMM_SCRATCH_BYTES = 4 * (64 * 256 + 128 * 256 + 4 * 8);

/** A matrix of float32 in a kernel's memory: [rows, columns] as it is multiplied, whatever way it lies. */
export interface PlacedMatrix {
  /** Byte offset of its first number. */
  readonly at: number;
  readonly rows: number;
  readonly columns: number;
  /** It lies column after column: the transpose of what is stored row after row. */
  readonly transposed: boolean;
}

/** Writes a·b to byte offset `to`, row after row. */
export type Gemm = (a: PlacedMatrix, b: PlacedMatrix, to: number) => void;

/**
 * Matrix products in `memory`, of which GEMM_SCRATCH_BYTES from `scratch` on are the kernel's own. Undefined where there is
 * no WebAssembly SIMD. The result throws RangeError for matrices that do not fit one another or the memory.
 */
export function openGemm(memory: WebAssembly.Memory, scratch: number): Gemm | undefined {
  const kernels = instantiate<'gemm'>(gemmWasm, memory);
  if (kernels === undefined) return undefined;
  return (a, b, to) => {
    if (a.columns !== b.rows) throw new RangeError(`${a.columns} columns do not meet ${b.rows} rows`);
    // The kernel checks no bounds. A memory only grows, so what fits now fits later.
    const end = memory.buffer.byteLength;
    requireInside(a.at, a.rows * a.columns, end);
    requireInside(b.at, b.rows * b.columns, end);
    requireInside(to, a.rows * b.columns, end);
    requireInside(scratch, GEMM_SCRATCH_BYTES / 4, end);
    kernels.gemm(a.at, b.at, to, a.rows, a.columns, b.columns, ...strides(a), ...strides(b), scratch);
  };
}

/** Bytes from one row, and from one column, to the next. */
function strides({ rows, columns, transposed }: PlacedMatrix): [number, number] {
  return transposed ? [4, 4 * rows] : [4 * columns, 4];
}

function requireInside(at: number, numbers: number, end: number): void {
  if (at < 0 || at + 4 * numbers > end) throw new RangeError(`${numbers} numbers from ${at} on do not fit the memory`);
}
