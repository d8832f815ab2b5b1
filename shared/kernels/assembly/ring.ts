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
function cellOf(words: usize, cells: usize, shift: u32): usize {
  return cells + (<usize>(load<u32>(words) >>> shift) << 2);
}

// @ts-ignore: decorator of AssemblyScript
@inline
function entriesOf(words: usize, cells: usize, shift: u32): v128 {
  let entries = v128.load32_zero(cellOf(words, cells, shift));
  entries = v128.load_lane<u32>(cellOf(words + 4, cells, shift), entries, 1);
  entries = v128.load_lane<u32>(cellOf(words + 8, cells, shift), entries, 2);
  return v128.load_lane<u32>(cellOf(words + 12, cells, shift), entries, 3);
}

/**
 * target[i] += multiple · sample(words[i]) by an alias table of 2^(32−shift) cells, each one word: the index of its other
 * value in the high bits, its threshold in the low `shift` ones. Where the word ties with the threshold the other value is
 * added and i appended to `ties`, for the host to decide. No branch depends on a sample but the rare tie.
 * @returns number of ties
 */
export function noise(
  target: usize,
  words: usize,
  count: usize,
  cells: usize,
  shift: u32,
  first: i32,
  multiple: i32,
  ties: usize,
): u32 {
  const mask: u32 = (1 << shift) - 1;
  const low = i32x4.splat(mask);
  const firsts = i32x4.splat(first * multiple);
  const factor = i32x4.splat(multiple);
  const start = words;
  const vectors = words + ((count & ~7) << 2);
  const end = words + (count << 2);
  let tied: u32 = 0;
  while (words < vectors) {
    const wordA = v128.load(words);
    const wordB = v128.load(words, 16);
    const entryA = entriesOf(words, cells, shift);
    const entryB = entriesOf(words + 16, cells, shift);
    const bitsA = v128.and(wordA, low);
    const bitsB = v128.and(wordB, low);
    const thresholdA = v128.and(entryA, low);
    const thresholdB = v128.and(entryB, low);
    const indexA = i32x4.shr_u(v128.bitselect(wordA, entryA, i32x4.lt_s(bitsA, thresholdA)), shift);
    const indexB = i32x4.shr_u(v128.bitselect(wordB, entryB, i32x4.lt_s(bitsB, thresholdB)), shift);
    v128.store(target, i32x4.add(i32x4.add(v128.load(target), firsts), i32x4.mul(indexA, factor)));
    v128.store(target, i32x4.add(i32x4.add(v128.load(target, 16), firsts), i32x4.mul(indexB, factor)), 16);
    if (v128.any_true(v128.or(i32x4.eq(bitsA, thresholdA), i32x4.eq(bitsB, thresholdB)))) {
      for (let at = words; at < words + 32; at += 4) {
        if (((load<u32>(at) ^ load<u32>(cellOf(at, cells, shift))) & mask) == 0) {
          store<u32>(ties + (<usize>tied << 2), <u32>((at - start) >> 2));
          tied++;
        }
      }
    }
    target += 32;
    words += 32;
  }
  while (words < end) {
    const word = load<u32>(words);
    const entry = load<u32>(cellOf(words, cells, shift));
    const index = ((word & mask) < (entry & mask) ? word : entry) >>> shift;
    store<i32>(target, load<i32>(target) + (first + <i32>index) * multiple);
    if (((word ^ entry) & mask) == 0) {
      store<u32>(ties + (<usize>tied << 2), <u32>((words - start) >> 2));
      tied++;
    }
    target += 4;
    words += 4;
  }
  return tied;
}
