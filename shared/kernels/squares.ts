import { squaresWasm } from './generated/squares.ts';
import { instantiate, type KernelFunctions, memoryOf } from './module.ts';

type SquaresKernel = KernelFunctions<'squares'> | undefined;

const kernels = new WeakMap<ArrayBufferLike, { readonly kernel: SquaresKernel }>();

/**
 * Σ x² in float64; the square of a float32 is exact there. Vectors of a workspace go through a WebAssembly kernel, all
 * others through TypeScript, with the same bits.
 */
export function sumOfSquares(vector: Float32Array | Float64Array): number {
  const kernel = vector instanceof Float32Array ? kernelOver(vector.buffer) : undefined;
  if (kernel === undefined) return squaresInTypeScript(vector);
  const whole = vector.length - (vector.length % 8);
  return withRest(kernel.squares(vector.byteOffset, whole), vector, whole);
}

/** What the kernel is tested against. Eight sums, so that no addition waits for the one before it. */
export function squaresInTypeScript(vector: Float32Array | Float64Array): number {
  let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0];
  const whole = vector.length - (vector.length % 8);
  for (let i = 0; i < whole; i += 8) {
    a += (vector[i] as number) ** 2;
    b += (vector[i + 1] as number) ** 2;
    c += (vector[i + 2] as number) ** 2;
    d += (vector[i + 3] as number) ** 2;
    e += (vector[i + 4] as number) ** 2;
    f += (vector[i + 5] as number) ** 2;
    g += (vector[i + 6] as number) ** 2;
    h += (vector[i + 7] as number) ** 2;
  }
  return withRest(a + b + (c + d) + (e + f + (g + h)), vector, whole);
}

/** The last, fewer than eight, in order. */
function withRest(sum: number, vector: Float32Array | Float64Array, from: number): number {
  let total = sum;
  for (let i = from; i < vector.length; i++) total += (vector[i] as number) ** 2;
  return total;
}

function kernelOver(buffer: ArrayBufferLike): SquaresKernel {
  const memory = memoryOf(buffer);
  if (memory === undefined) return undefined;
  const known = kernels.get(buffer);
  if (known !== undefined) return known.kernel;
  const kernel = instantiate<'squares'>(squaresWasm, memory);
  kernels.set(buffer, { kernel });
  return kernel;
}
