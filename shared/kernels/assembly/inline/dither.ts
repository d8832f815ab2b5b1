/** ⌊x·scale + u⌋ of two float64 numbers, u = (word + ½)/2^32: the rounding that the sensitivity is computed for. Two int32 words. */
// @ts-ignore: decorator of AssemblyScript
@inline
export function rounded(x: v128, words: v128, scale: v128): v128 {
  const half = f64x2.splat(0.5);
  const unit = f64x2.splat(2.3283064365386962890625e-10);
  const u = f64x2.mul(f64x2.add(f64x2.convert_low_i32x4_u(words), half), unit);
  return i32x4.trunc_sat_f64x2_s_zero(f64x2.floor(f64x2.add(f64x2.mul(x, scale), u)));
}
