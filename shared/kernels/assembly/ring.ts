/**
 * Arithmetic in the ring of 32-bit words, AssemblyScript. Pointers are byte offsets into the one memory that the host
 * handed in; the host has checked that ranges lie inside it. Twins in TypeScript: ../ring-js.ts.
 */

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

// @ts-ignore: decorator of AssemblyScript
@inline
function rounded(x: v128, words: v128, scale: v128): v128 {
  const half = f64x2.splat(0.5);
  const unit = f64x2.splat(2.3283064365386962890625e-10);
  const u = f64x2.mul(f64x2.add(f64x2.convert_low_i32x4_u(words), half), unit);
  return i32x4.trunc_sat_f64x2_s_zero(f64x2.floor(f64x2.add(f64x2.mul(x, scale), u)));
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
    const w = v128.load(words);
    const low = rounded(f64x2.promote_low_f32x4(x), w, factor);
    const high = rounded(
      f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0)),
      v128.shuffle<i64>(w, w, 1, 0),
      factor,
    );
    v128.store(out, v128.shuffle<i64>(low, high, 0, 2));
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

/**
 * target[i] += multiple · sample(words[i]) by an alias table of 2^(32−shift) cells, each one word: the cell's threshold in its
 * high `shift` bits, the index of its other value in the low ones. Where the word ties with the threshold the other value
 * is added and i appended to `ties`, for the host to decide. No branch depends on a sample but the rare tie.
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
  const cellBits: u32 = 32 - shift;
  const low = i32x4.splat((1 << shift) - 1);
  const index = i32x4.splat((1 << cellBits) - 1);
  const firsts = i32x4.splat(first);
  const factor = i32x4.splat(multiple);
  const start = words;
  const vectors = words + ((count & ~3) << 2);
  const end = words + (count << 2);
  let tied: u32 = 0;
  while (words < vectors) {
    let entry = v128.load32_zero(cellOf(words, cells, shift));
    entry = v128.load_lane<u32>(cellOf(words + 4, cells, shift), entry, 1);
    entry = v128.load_lane<u32>(cellOf(words + 8, cells, shift), entry, 2);
    entry = v128.load_lane<u32>(cellOf(words + 12, cells, shift), entry, 3);
    const word = v128.load(words);
    const bits = v128.and(word, low);
    const threshold = i32x4.shr_u(entry, cellBits);
    const own = i32x4.shr_u(word, shift);
    const value = i32x4.add(v128.bitselect(own, v128.and(entry, index), i32x4.lt_s(bits, threshold)), firsts);
    v128.store(target, i32x4.add(v128.load(target), i32x4.mul(value, factor)));
    if (v128.any_true(i32x4.eq(bits, threshold))) {
      for (let at = words; at < words + 16; at += 4) {
        if ((load<u32>(at) & ((1 << shift) - 1)) == load<u32>(cellOf(at, cells, shift)) >>> cellBits) {
          store<u32>(ties + (<usize>tied << 2), <u32>((at - start) >> 2));
          tied++;
        }
      }
    }
    target += 16;
    words += 16;
  }
  while (words < end) {
    const word = load<u32>(words);
    const bits = word & ((1 << shift) - 1);
    const entry = load<u32>(cellOf(words, cells, shift));
    const threshold = entry >>> cellBits;
    const value = first + <i32>(bits < threshold ? word >>> shift : entry & ((1 << cellBits) - 1));
    store<i32>(target, load<i32>(target) + value * multiple);
    if (bits == threshold) {
      store<u32>(ties + (<usize>tied << 2), <u32>((words - start) >> 2));
      tied++;
    }
    target += 4;
    words += 4;
  }
  return tied;
}
