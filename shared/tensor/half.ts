/** Conversions between float32 and the two 16-bit formats, on bit patterns: exact when widening, ties to even when rounding. */

const one = new Float32Array(1);
const oneBits = new Uint32Array(one.buffer);

/** IEEE 754 binary16 → float32. */
export function widenHalf(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < halves.length; i++) bits[i] = halfBits(halves[i] as number);
  return out;
}

function halfBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  // A subnormal half is fraction · 2⁻²⁴, a normal float32.
  one[0] = fraction * 2 ** -24;
  return sign | (oneBits[0] as number);
}

/** bfloat16 → float32: the upper half of the bits. */
export function widenBfloat(values: Uint16Array): Float32Array {
  const out = new Float32Array(values.length);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < values.length; i++) bits[i] = (values[i] as number) << 16;
  return out;
}

/** float32 → binary16, to nearest, ties to even; what is too large becomes infinity. */
export function roundHalf(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, roundHalfBits);
}

function roundHalfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal half: a multiple of 2⁻²⁴. The scaled value is exact in float64, so only this rounding happens.
    oneBits[0] = magnitude;
    return sign | tiesToEven((one[0] as number) * 2 ** 24);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded >>> 13) - (112 << 10));
}

/** float32 → bfloat16, to nearest, ties to even. */
export function roundBfloat(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (b) =>
    (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16,
  );
}

function tiesToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
}
