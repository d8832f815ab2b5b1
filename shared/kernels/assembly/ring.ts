/**
 * Arithmetic in the ring of 32-bit words, AssemblyScript. Pointers are byte offsets into the one memory that the host
 * handed in; the host has checked that ranges lie inside it. Twins in TypeScript: ../ring-js.ts.
 */
import { rounded } from './inline/dither';

/** target[i] += words[i] mod 2^32. */
export function add(target: usize, words: usize, count: usize): void {
  const end = target + (count << 2);
  const vectors = target + ((count & ~7) << 2);
  while (target < vectors) {
    v128.store(target, i32x4.add(v128.load(target), v128.load(words)));
    v128.store(target, i32x4.add(v128.load(target, 16), v128.load(words, 16)), 16);
    target += 32;
    words += 32;
  }
  while (target < end) {
    store<u32>(target, load<u32>(target) + load<u32>(words));
    target += 4;
    words += 4;
  }
}

/** target[i] -= words[i] mod 2^32. */
export function subtract(target: usize, words: usize, count: usize): void {
  const end = target + (count << 2);
  const vectors = target + ((count & ~7) << 2);
  while (target < vectors) {
    v128.store(target, i32x4.sub(v128.load(target), v128.load(words)));
    v128.store(target, i32x4.sub(v128.load(target, 16), v128.load(words, 16)), 16);
    target += 32;
    words += 32;
  }
  while (target < end) {
    store<u32>(target, load<u32>(target) - load<u32>(words));
    target += 4;
    words += 4;
  }
}

/**
 * out[i] = ⌊values[i]·scale + u⌋ with u = (words[i] + 1/2)/2^32, for |values[i]|·scale < 2^31 − 1 (the host has checked).
 * `values` are float32.
 */
export function quantise(out: usize, values: usize, words: usize, count: usize, scale: f64): void {
  const factor = f64x2.splat(scale);
  const vectors = out + ((count & ~3) << 2);
  const end = out + (count << 2);
  while (out < vectors) {
    const x = v128.load(values);
    const high = f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0));
    v128.store(out, rounded(f64x2.promote_low_f32x4(x), high, v128.load(words), factor));
    out += 16;
    values += 16;
    words += 16;
  }
  while (out < end) {
    const u = (<f64>load<u32>(words) + 0.5) * 2.3283064365386962890625e-10;
    store<i32>(out, <i32>Math.floor(<f64>load<f32>(values) * scale + u));
    out += 4;
    values += 4;
    words += 4;
  }
}

// @ts-ignore: decorator of AssemblyScript
@inline
function cellOf(words: usize, cells: usize): u32 {
  return load<u32>(cells + (<usize>(load<u32>(words) >>> 19) << 2));
}

// @ts-ignore: decorator of AssemblyScript
@inline
function cellsOf(words: usize, cells: usize): v128 {
  let four = v128.load32_zero(cells + (<usize>(load<u32>(words) >>> 19) << 2));
  four = v128.load_lane<u32>(cells + (<usize>(load<u32>(words, 4) >>> 19) << 2), four, 1);
  four = v128.load_lane<u32>(cells + (<usize>(load<u32>(words, 8) >>> 19) << 2), four, 2);
  return v128.load_lane<u32>(cells + (<usize>(load<u32>(words, 12) >>> 19) << 2), four, 3);
}

/** What four words stand for. */
// @ts-ignore: decorator of AssemblyScript
@inline
function samples(word: v128, cell: v128, width: v128, place: v128): v128 {
  const low = i32x4.splat(0x7ffff);
  const own = i32x4.gt_s(v128.and(cell, low), v128.and(word, low));
  const column = i32x4.shr_s(v128.xor(word, v128.andnot(cell, own)), 19);
  return i32x4.add(i32x4.mul(column, width), v128.and(word, place));
}

// @ts-ignore: decorator of AssemblyScript
@inline
function move(target: usize, by: v128, away: bool): void {
  const x = v128.load(target);
  v128.store(target, away ? i32x4.sub(x, by) : i32x4.add(x, by));
}

// @ts-ignore: decorator of AssemblyScript
@inline
function noiseTo(
  target: usize,
  words: usize,
  count: usize,
  cells: usize,
  offsetBits: u32,
  limit: i32,
  away: bool,
  escapes: usize,
): u32 {
  const width = i32x4.splat(1 << offsetBits);
  const place = i32x4.splat((1 << offsetBits) - 1);
  const least = i32x4.splat(limit);
  const start = words;
  const vectors = words + ((count & ~15) << 2);
  const end = words + (count << 2);
  let escaped: u32 = 0;
  while (words < vectors) {
    const a = v128.load(words);
    const b = v128.load(words, 16);
    const c = v128.load(words, 32);
    const d = v128.load(words, 48);
    move(target, samples(a, cellsOf(words, cells), width, place), away);
    move(target + 16, samples(b, cellsOf(words + 16, cells), width, place), away);
    move(target + 32, samples(c, cellsOf(words + 32, cells), width, place), away);
    move(target + 48, samples(d, cellsOf(words + 48, cells), width, place), away);
    if (v128.any_true(i32x4.lt_s(i32x4.min_s(i32x4.min_s(a, b), i32x4.min_s(c, d)), least))) {
      for (let at = words; at < words + 64; at += 4) {
        if (load<i32>(at) < limit) {
          store<u32>(escapes + (<usize>escaped << 2), <u32>((at - start) >> 2));
          escaped++;
        }
      }
    }
    target += 64;
    words += 64;
  }
  while (words < end) {
    const word = load<u32>(words);
    const cell = cellOf(words, cells);
    const column = <i32>((word & 0x7ffff) < (cell & 0x7ffff) ? word : word ^ cell) >> 19;
    const sample = (column << offsetBits) + <i32>(word & ((1 << offsetBits) - 1));
    store<i32>(target, load<i32>(target) + (away ? -sample : sample));
    if (<i32>word < limit) {
      store<u32>(escapes + (<usize>escaped << 2), <u32>((words - start) >> 2));
      escaped++;
    }
    target += 4;
    words += 4;
  }
  return escaped;
}

/**
 * target[i] += sign·sample(words[i]) by a table of columns (see ../ring.ts). Positions of words below `limit` are appended to
 * `escapes`, for the host to settle. No branch depends on a sample but on these.
 * @returns number of escapes
 */
export function noise(
  target: usize,
  words: usize,
  count: usize,
  cells: usize,
  offsetBits: u32,
  limit: i32,
  sign: i32,
  escapes: usize,
): u32 {
  return sign < 0
    ? noiseTo(target, words, count, cells, offsetBits, limit, true, escapes)
    : noiseTo(target, words, count, cells, offsetBits, limit, false, escapes);
}
