/**
 * Words of 20 and 16 bits next to one another, AssemblyScript. Pointers are byte offsets into the one memory that the host
 * handed in; the host has checked that ranges lie inside it, 16 bytes beyond them included. Twins: ../packing-js.ts.
 */

/** The low 20 bits of each word, first word in the lowest bits: 5 bytes for two words. */
export function pack20(out: usize, words: usize, count: usize): void {
  const low = i64x2.splat(0xfffff);
  const high = i64x2.splat(0xfffff00000);
  const vectors = words + ((count & ~3) << 2);
  const end = words + (count << 2);
  while (words < vectors) {
    const x = v128.load(words);
    const pairs = v128.or(v128.and(x, low), v128.and(i64x2.shr_u(x, 12), high));
    // What is written beyond the 5 bytes is written over next.
    store<i64>(out, i64x2.extract_lane(pairs, 0));
    store<i64>(out, i64x2.extract_lane(pairs, 1), 5);
    out += 10;
    words += 16;
  }
  while (words < end) {
    const first = load<u32>(words) & 0xfffff;
    const second = words + 4 < end ? load<u32>(words, 4) & 0xfffff : 0;
    const pair = (<u64>first) | ((<u64>second) << 20);
    store<u32>(out, <u32>pair);
    store<u8>(out, <u8>(pair >> 32), 4);
    out += 5;
    words += 8;
  }
}

/** words[i] = the i-th 20 bits. */
export function unpack20(words: usize, packed: usize, count: usize): void {
  const low = i64x2.splat(0xfffff);
  const high = i64x2.splat(0xfffff00000);
  const vectors = words + ((count & ~3) << 2);
  const end = words + (count << 2);
  while (words < vectors) {
    const pairs = i64x2(load<i64>(packed), load<i64>(packed, 5));
    v128.store(words, v128.or(v128.and(pairs, low), i64x2.shl(v128.and(pairs, high), 12)));
    packed += 10;
    words += 16;
  }
  while (words < end) {
    const pair = load<u64>(packed);
    store<u32>(words, <u32>pair & 0xfffff);
    if (words + 4 < end) store<u32>(words, <u32>(pair >> 20) & 0xfffff, 4);
    packed += 5;
    words += 8;
  }
}

/** The low 16 bits of each word, low byte first. */
export function pack16(out: usize, words: usize, count: usize): void {
  const vectors = words + ((count & ~7) << 2);
  const end = words + (count << 2);
  while (words < vectors) {
    v128.store(
      out,
      v128.shuffle<u16>(v128.load(words), v128.load(words, 16), 0, 2, 4, 6, 8, 10, 12, 14),
    );
    out += 16;
    words += 32;
  }
  while (words < end) {
    store<u16>(out, <u16>load<u32>(words));
    out += 2;
    words += 4;
  }
}

/** words[i] = the i-th 16 bits. */
export function unpack16(words: usize, packed: usize, count: usize): void {
  const vectors = words + ((count & ~7) << 2);
  const end = words + (count << 2);
  while (words < vectors) {
    const x = v128.load(packed);
    v128.store(words, i32x4.extend_low_i16x8_u(x));
    v128.store(words, i32x4.extend_high_i16x8_u(x), 16);
    packed += 16;
    words += 32;
  }
  while (words < end) {
    store<u32>(words, load<u16>(packed));
    packed += 2;
    words += 4;
  }
}
