/**
 * GF(2^8) with the AES polynomial, AssemblyScript. Multiplication is by public points only: two 16-byte tables of the public
 * factor, looked up with the secret nibbles in registers (i8x16.swizzle), so no secret-dependent branch or memory access.
 * Twin in TypeScript: ../field-js.ts.
 */

// @ts-ignore: decorator of AssemblyScript
@inline
function doubled(a: u32): u32 {
  return ((a << 1) ^ ((a >>> 7) * 0x11b)) & 0xff;
}

/** Bytes i·x for i = 0…15 into [at, at + 16) and 16·i·x into the next 16. */
function tables(at: usize, x: u32): void {
  let power = x;
  store<u8>(at, 0);
  store<u8>(at + 16, 0);
  for (let bit: u32 = 0; bit < 8; bit++) {
    const table = at + ((bit >>> 2) << 4);
    const size: u32 = 1 << (bit & 3);
    for (let i: u32 = 0; i < size; i++) store<u8>(table + size + i, <u8>(load<u8>(table + i) ^ power));
    power = doubled(power);
  }
}

// @ts-ignore: decorator of AssemblyScript
@inline
function times(a: v128, low: v128, high: v128): v128 {
  const nibble = i8x16.splat(15);
  return v128.xor(i8x16.swizzle(low, v128.and(a, nibble)), i8x16.swizzle(high, i8x16.shr_u(a, 4)));
}

/**
 * out = Σ coefficients[k]·x^k, each of `blocks`·16 bytes, k = 0…threshold−1 one after the other.
 * @param scratch - 32 bytes
 */
export function evaluate(out: usize, coefficients: usize, threshold: usize, blocks: usize, x: u32, scratch: usize): void {
  tables(scratch, x);
  const low = v128.load(scratch);
  const high = v128.load(scratch, 16);
  const stride = blocks << 4;
  for (let block: usize = 0; block < stride; block += 16) {
    let sum = i8x16.splat(0);
    for (let k = threshold; k > 0; k--) sum = v128.xor(times(sum, low, high), v128.load(coefficients + (k - 1) * stride + block));
    v128.store(out + block, sum);
  }
}

/** out ^= factor·term, both of `blocks`·16 bytes. @param scratch - 32 bytes */
export function multiplyAdd(out: usize, term: usize, blocks: usize, factor: u32, scratch: usize): void {
  tables(scratch, factor);
  const low = v128.load(scratch);
  const high = v128.load(scratch, 16);
  const stride = blocks << 4;
  for (let block: usize = 0; block < stride; block += 16)
    v128.store(out + block, v128.xor(v128.load(out + block), times(v128.load(term + block), low, high)));
}
