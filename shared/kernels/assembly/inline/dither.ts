/**
 * ⌊x·scale + u⌋ mod 2^32 of four float64 numbers, u = (word + ½)/2^32: the rounding that the sensitivity is computed for.
 * Conversions are additions of powers of two, all exact: a word below the high half 0x41300000 is the float64 2^20 + word·2^-32,
 * and an integer plus 1.5·2^52 has its 32 bits in the low half.
 */
// @ts-ignore: decorator of AssemblyScript
@inline
export function rounded(low: v128, high: v128, words: v128, scale: v128): v128 {
  const head = i32x4.splat(0x41300000);
  return v128.shuffle<i32>(
    floored(low, v128.shuffle<i32>(words, head, 0, 4, 1, 5), scale),
    floored(high, v128.shuffle<i32>(words, head, 2, 6, 3, 7), scale),
    0,
    2,
    4,
    6,
  );
}

// @ts-ignore: decorator of AssemblyScript
@inline
function floored(x: v128, shifted: v128, scale: v128): v128 {
  // 2^20 − 2^-33.
  const u = f64x2.sub(shifted, f64x2.splat(1048575.9999999998835846781730651855));
  return f64x2.add(f64x2.floor(f64x2.add(f64x2.mul(x, scale), u)), f64x2.splat(6755399441055744));
}
