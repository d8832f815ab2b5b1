/**
 * The Walsh–Hadamard transform of float64 vectors and what surrounds it, AssemblyScript. Pointers are byte offsets into the
 * one memory that the host handed in; the host has checked that ranges lie inside it and that lengths of transforms are powers
 * of 4. Every number goes through the operations of the twin in ../hadamard-js.ts in the same order: both give the same bits.
 */
import { rounded } from './inline/dither';

/** out[i] = ±values[i]·factor, in float64; minus where bit i mod 32 of word ⌊i/32⌋ of `signs` is set. `values` are float32. */
export function spread(out: usize, values: usize, signs: usize, count: usize, factor: f64): void {
  const factors = f64x2.splat(factor);
  const places = i32x4(<i32>0x80000000, 0x40000000, 0x20000000, 0x10000000);
  const top = i32x4.splat(<i32>0x80000000);
  const vectors = count & ~3;
  let i: usize = 0;
  for (; i < vectors; i += 4) {
    const bits = load<u32>(signs + ((i >> 5) << 2)) >>> (i & 31);
    const minus = v128.and(i32x4.mul(i32x4.splat(bits), places), top);
    const x = v128.xor(v128.load(values + (i << 2)), minus);
    const low = f64x2.mul(f64x2.promote_low_f32x4(x), factors);
    const high = f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<u64>(x, x, 1, 1)), factors);
    v128.store(out + (i << 3), low);
    v128.store(out + (i << 3), high, 16);
  }
  for (; i < count; i++) {
    const x = <f64>load<f32>(values + (i << 2));
    const minus = (load<u32>(signs + ((i >> 5) << 2)) >>> (i & 31)) & 1;
    store<f64>(out + (i << 3), (minus ? -x : x) * factor);
  }
}

/** Numbers that are transformed to the end before the next ones: 32 KiB, in the fastest cache. */
const NEAR: usize = 4096;

/** H·x in place, not normalised, in natural order: widest butterflies first, two levels at a time. */
export function transform(at: usize, count: usize): void {
  if (count > NEAR) {
    butterflies(at, count, count);
    const quarter = count >> 2;
    for (let part: usize = 0; part < 4; part++) transform(at + part * (quarter << 3), quarter);
    return;
  }
  for (let span = count; span > 4; span >>= 2) butterflies(at, count, span);
  if (count >= 4) fours(at, count);
}

/** Two levels of butterflies in every `span` numbers, 16 or more: strides span/2, then span/4. */
function butterflies(at: usize, count: usize, span: usize): void {
  const quarter = span << 1;
  const end = at + (count << 3);
  for (let base = at; base < end; base += span << 3) {
    for (let i = base; i < base + quarter; i += 16) {
      const j = i + quarter;
      const k = j + quarter;
      const l = k + quarter;
      const a = v128.load(i);
      const b = v128.load(j);
      const c = v128.load(k);
      const d = v128.load(l);
      const ac = f64x2.add(a, c);
      const bd = f64x2.add(b, d);
      const amc = f64x2.sub(a, c);
      const bmd = f64x2.sub(b, d);
      v128.store(i, f64x2.add(ac, bd));
      v128.store(j, f64x2.sub(ac, bd));
      v128.store(k, f64x2.add(amc, bmd));
      v128.store(l, f64x2.sub(amc, bmd));
    }
  }
}

/** The last two levels, inside of four numbers next to one another. */
function fours(at: usize, count: usize): void {
  const minus = f64x2(0, -0.0);
  const end = at + (count << 3);
  for (let i = at; i < end; i += 32) {
    const x = v128.load(i);
    const y = v128.load(i, 16);
    const plus = f64x2.add(x, y);
    const less = f64x2.sub(x, y);
    v128.store(i, within(plus, minus));
    v128.store(i, within(less, minus), 16);
  }
}

/** (x₀ + x₁, x₀ − x₁). */
// @ts-ignore: decorator of AssemblyScript
@inline
function within(x: v128, minus: v128): v128 {
  const second = v128.xor(v128.shuffle<u64>(x, x, 1, 1), minus);
  return f64x2.add(v128.shuffle<u64>(x, x, 0, 0), second);
}

/** out[i] = ⌊values[i]·scale + (words[i] + ½)/2^32⌋ for float64 values, |values[i]|·scale < 2^31 − 1 (the host has checked). */
export function quantise(out: usize, values: usize, words: usize, count: usize, scale: f64): void {
  const factor = f64x2.splat(scale);
  const vectors = count & ~3;
  let i: usize = 0;
  for (; i < vectors; i += 4) {
    const x = values + (i << 3);
    v128.store(out + (i << 2), rounded(v128.load(x), v128.load(x, 16), v128.load(words + (i << 2)), factor));
  }
  for (; i < count; i++) {
    const u = (<f64>load<u32>(words + (i << 2)) + 0.5) * 2.3283064365386962890625e-10;
    store<i32>(out + (i << 2), <i32>Math.floor(load<f64>(values + (i << 3)) * scale + u));
  }
}
