/**
 * C = A·B for float32 matrices of any strides, AssemblyScript: panels are packed into a scratch area and multiplied four
 * rows by eight columns at a time, all eight accumulators in registers (Goto & van de Geijn 2008, "Anatomy of
 * high-performance matrix multiplication"). Pointers and strides are in bytes; the host has checked that all ranges lie
 * inside the memory that it handed in. C is [m, n], row after row. `scratch` has room for SCRATCH bytes (../gemm.ts).
 */

/** Rows of A, columns of B and depth that are packed at a time: A's block fits the L2 cache, B's panel the L1. */
const ROWS: usize = 64;
const COLUMNS: usize = 128;
const DEPTH: usize = 256;

export function gemm(
  a: usize,
  b: usize,
  c: usize,
  m: usize,
  k: usize,
  n: usize,
  aRow: usize,
  aColumn: usize,
  bRow: usize,
  bColumn: usize,
  scratch: usize,
): void {
  const packedA = scratch;
  const packedB = packedA + 4 * ROWS * DEPTH;
  const tile = packedB + 4 * COLUMNS * DEPTH;
  for (let j: usize = 0; j < n; j += COLUMNS) {
    const columns = min(COLUMNS, n - j);
    for (let p: usize = 0; p < k; p += DEPTH) {
      const depth = min(DEPTH, k - p);
      packColumns(packedB, b + p * bRow + j * bColumn, depth, columns, bRow, bColumn);
      for (let i: usize = 0; i < m; i += ROWS) {
        const rows = min(ROWS, m - i);
        packRows(packedA, a + i * aRow + p * aColumn, depth, rows, aRow, aColumn);
        block(packedA, packedB, c + 4 * (i * n + j), depth, rows, columns, 4 * n, tile, p > 0);
      }
    }
  }
}

function block(
  packedA: usize,
  packedB: usize,
  c: usize,
  depth: usize,
  rows: usize,
  columns: usize,
  stride: usize,
  tile: usize,
  add: bool,
): void {
  for (let j: usize = 0; j < columns; j += 8) {
    const right = packedB + 4 * j * depth;
    for (let i: usize = 0; i < rows; i += 4) {
      const left = packedA + 4 * i * depth;
      const to = c + i * stride + 4 * j;
      if (i + 4 <= rows && j + 8 <= columns) {
        multiply(left, right, to, depth, stride, add);
      } else {
        multiply(left, right, tile, depth, 32, false);
        copyPart(tile, to, min<usize>(4, rows - i), min<usize>(8, columns - j), stride, add);
      }
    }
  }
}

/** Four rows by eight columns of C from one packed panel of each. */
function multiply(left: usize, right: usize, c: usize, depth: usize, stride: usize, add: bool): void {
  let c00 = f32x4.splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  const end = left + 16 * depth;
  while (left < end) {
    const b0 = v128.load(right);
    const b1 = v128.load(right, 16);
    const a0 = v128.load32_splat(left);
    c00 = f32x4.add(c00, f32x4.mul(a0, b0));
    c01 = f32x4.add(c01, f32x4.mul(a0, b1));
    const a1 = v128.load32_splat(left, 4);
    c10 = f32x4.add(c10, f32x4.mul(a1, b0));
    c11 = f32x4.add(c11, f32x4.mul(a1, b1));
    const a2 = v128.load32_splat(left, 8);
    c20 = f32x4.add(c20, f32x4.mul(a2, b0));
    c21 = f32x4.add(c21, f32x4.mul(a2, b1));
    const a3 = v128.load32_splat(left, 12);
    c30 = f32x4.add(c30, f32x4.mul(a3, b0));
    c31 = f32x4.add(c31, f32x4.mul(a3, b1));
    left += 16;
    right += 32;
  }
  store(c, c00, c01, add);
  store(c + stride, c10, c11, add);
  store(c + 2 * stride, c20, c21, add);
  store(c + 3 * stride, c30, c31, add);
}

function store(c: usize, low: v128, high: v128, add: bool): void {
  if (add) {
    v128.store(c, f32x4.add(v128.load(c), low));
    v128.store(c, f32x4.add(v128.load(c, 16), high), 16);
  } else {
    v128.store(c, low);
    v128.store(c, high, 16);
  }
}

function copyPart(tile: usize, c: usize, rows: usize, columns: usize, stride: usize, add: bool): void {
  for (let i: usize = 0; i < rows; i++) {
    for (let j: usize = 0; j < columns; j++) {
      const to = c + i * stride + 4 * j;
      const x = load<f32>(tile + 32 * i + 4 * j);
      store32(to, add ? load<f32>(to) + x : x);
    }
  }
}

function store32(at: usize, x: f32): void {
  f32.store(at, x);
}

/** Four rows next to one another, filled up with zeros. */
function packRows(to: usize, a: usize, depth: usize, rows: usize, row: usize, column: usize): void {
  for (let i: usize = 0; i < rows; i += 4) {
    const here = min<usize>(4, rows - i);
    const from = a + i * row;
    for (let p: usize = 0; p < depth; p++) {
      const at = from + p * column;
      if (here === 4 && row === 4) {
        v128.store(to, v128.load(at));
      } else {
        for (let r: usize = 0; r < 4; r++) store32(to + 4 * r, r < here ? load<f32>(at + r * row) : 0);
      }
      to += 16;
    }
  }
}

/** Eight columns next to one another, filled up with zeros. */
function packColumns(to: usize, b: usize, depth: usize, columns: usize, row: usize, column: usize): void {
  for (let j: usize = 0; j < columns; j += 8) {
    const here = min<usize>(8, columns - j);
    const from = b + j * column;
    for (let p: usize = 0; p < depth; p++) {
      const at = from + p * row;
      if (here === 8 && column === 4) {
        v128.store(to, v128.load(at));
        v128.store(to, v128.load(at, 16), 16);
      } else {
        for (let q: usize = 0; q < 8; q++) store32(to + 4 * q, q < here ? load<f32>(at + q * column) : 0);
      }
      to += 32;
    }
  }
}
