import type { HadamardKernels } from './hadamard.ts';

/** The kernels in TypeScript: where there is no WebAssembly, and what the compiled ones are compared with. */
export const hadamardInTypeScript: HadamardKernels = {
  kind: 'typescript',
  spread(out, values, signs, factor) {
    for (let i = 0; i < values.length; i++) {
      const minus = ((signs[i >>> 5] as number) >>> (i & 31)) & 1;
      const x = values[i] as number;
      out[i] = (minus === 1 ? -x : x) * factor;
    }
  },
  transform(x) {
    for (let span = x.length; span > 1; span /= 2) {
      const half = span / 2;
      for (let base = 0; base < x.length; base += span) {
        for (let i = base; i < base + half; i++) {
          const [a, b] = [x[i] as number, x[i + half] as number];
          x[i] = a + b;
          x[i + half] = a - b;
        }
      }
    }
  },
  quantise(out, values, words, scale) {
    for (let i = 0; i < out.length; i++) {
      const u = ((words[i] as number) + 0.5) * 2 ** -32;
      out[i] = Math.floor((values[i] as number) * scale + u);
    }
  },
};
