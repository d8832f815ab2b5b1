/** GF(2^8) in TypeScript: where there is no WebAssembly, and what the compiled kernels are compared with. */

/** `words`·x in place, for public x: double and add over the bits of x, four secret bytes a word, no tables. */
function multiplyByPublic(words: Uint32Array, x: number, scratch: Uint32Array): void {
  scratch.set(words);
  words.fill(0);
  for (let bits = x; bits !== 0; bits >>>= 1) {
    if ((bits & 1) === 1)
      for (let i = 0; i < words.length; i++) words[i] = (words[i] as number) ^ (scratch[i] as number);
    for (let i = 0; i < scratch.length; i++) {
      const w = scratch[i] as number;
      scratch[i] = ((w & 0x7f7f7f7f) << 1) ^ (((w >>> 7) & 0x01010101) * 0x1b);
    }
  }
}

/** out = Σ coefficients[k]·x^k by Horner's rule, each coefficient `out.length` words long. */
export function evaluateInTypeScript(out: Uint32Array, coefficients: Uint32Array, x: number): void {
  const scratch = new Uint32Array(out.length);
  out.fill(0);
  for (let at = coefficients.length - out.length; at >= 0; at -= out.length) {
    multiplyByPublic(out, x, scratch);
    for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) ^ (coefficients[at + i] as number);
  }
  scratch.fill(0);
}

/** out ^= factor·term, for a public factor. */
export function multiplyAddInTypeScript(out: Uint32Array, term: Uint32Array, factor: number): void {
  const product = term.slice();
  const scratch = new Uint32Array(out.length);
  multiplyByPublic(product, factor, scratch);
  for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) ^ (product[i] as number);
  product.fill(0);
  scratch.fill(0);
}
