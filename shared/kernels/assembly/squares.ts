/**
 * Sum of squares of a float32 vector in float64, AssemblyScript. The pointer is a byte offset into the memory that the host
 * handed in; the host has checked that the range lies inside it and that `count` is a multiple of 8. Eight sums, one for
 * each lane, added in the order of the twin in ../squares.ts, so both give the same bits.
 */
export function squares(at: usize, count: usize): f64 {
  let a = f64x2.splat(0);
  let b = a;
  let c = a;
  let d = a;
  const end = at + (count << 2);
  for (let i = at; i < end; i += 32) {
    const left = v128.load(i);
    const right = v128.load(i, 16);
    const first = f64x2.promote_low_f32x4(left);
    const second = f64x2.promote_low_f32x4(v128.shuffle<u64>(left, left, 1, 1));
    const third = f64x2.promote_low_f32x4(right);
    const fourth = f64x2.promote_low_f32x4(v128.shuffle<u64>(right, right, 1, 1));
    a = f64x2.add(a, f64x2.mul(first, first));
    b = f64x2.add(b, f64x2.mul(second, second));
    c = f64x2.add(c, f64x2.mul(third, third));
    d = f64x2.add(d, f64x2.mul(fourth, fourth));
  }
  return both(a) + both(b) + (both(c) + both(d));
}

/** The largest |x|, of float32 numbers none of which is NaN; `count` is a multiple of 8. */
export function largest(at: usize, count: usize): f32 {
  let a = f32x4.splat(0);
  let b = a;
  const end = at + (count << 2);
  for (let i = at; i < end; i += 32) {
    a = f32x4.pmax(a, f32x4.abs(v128.load(i)));
    b = f32x4.pmax(b, f32x4.abs(v128.load(i, 16)));
  }
  a = f32x4.pmax(a, b);
  a = f32x4.pmax(a, v128.shuffle<u64>(a, a, 1, 0));
  return max(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1));
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function both(x: v128): f64 {
  return f64x2.extract_lane(x, 0) + f64x2.extract_lane(x, 1);
}
