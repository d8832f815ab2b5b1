import { optimizerWasm } from './generated/optimizer.ts';
import { instantiate, type KernelFunctions, Workspace } from './module.ts';
import { type AdamNumbers, type OptimizerKernels, optimizerInTypeScript, type SgdNumbers } from './optimizer-js.ts';

type OptimizerFunction = 'adam' | 'momentum';

/** Elements of each vector that are copied at a time when they lie outside the kernel's memory: four fit the L2 cache. */
const TILE = 16_384;

/**
 * Kernels that work in place on vectors of `space`, and through a small buffer on any others (two and a half times as slow,
 * four times as fast as TypeScript). Without WebAssembly SIMD: TypeScript. The bits are the same.
 */
export function openOptimizerKernels(space?: Workspace): OptimizerKernels {
  return optimizerInWasm(space) ?? optimizerInTypeScript;
}

/** Undefined where the platform has no WebAssembly SIMD. */
export function optimizerInWasm(space?: Workspace): OptimizerKernels | undefined {
  const tiles = new Tiles();
  const memory = space?.memory;
  const inSpace = memory === undefined ? undefined : instantiate<OptimizerFunction>(optimizerWasm, memory);
  const inTiles = instantiate<OptimizerFunction>(optimizerWasm, tiles.space.memory);
  if (inTiles === undefined) return undefined;
  const inside = (vector: Float32Array): boolean => vector.buffer === memory?.buffer;
  const run = (vectors: readonly Float32Array[], call: Call, rest: (parts: readonly Float32Array[]) => void): void => {
    const length = checkedLength(vectors);
    const whole = length - (length % 4);
    if (inSpace !== undefined && vectors.every(inside)) {
      call(inSpace, vectors.map((v) => v.byteOffset), whole); // biome-ignore format: one thought
    } else {
      for (let at = 0; at < whole; at += TILE) tiles.run(vectors, at, Math.min(TILE, whole - at), call, inTiles);
    }
    if (whole < length) rest(vectors.map((v) => v.subarray(whole)));
  };
  return {
    kind: 'wasm',
    adam(p, g, m, v, numbers) {
      const call: Call = (kernels, [pAt, gAt, mAt, vAt], count) =>
        kernels.adam(pAt as number, gAt as number, mAt as number, vAt as number, count, ...adamArguments(numbers));
      run([p, g, m, v], call, ([a, b, c, d]) =>
        optimizerInTypeScript.adam(a as Float32Array, b as Float32Array, c as Float32Array, d as Float32Array, numbers),
      );
    },
    momentum(p, g, m, numbers) {
      const call: Call = (kernels, [pAt, gAt, mAt], count) =>
        kernels.momentum(pAt as number, gAt as number, mAt as number, count, ...sgdArguments(numbers));
      run([p, g, m], call, ([a, b, c]) =>
        optimizerInTypeScript.momentum(a as Float32Array, b as Float32Array, c as Float32Array, numbers),
      );
    },
  };
}

type Call = (kernels: KernelFunctions<OptimizerFunction>, offsets: readonly number[], count: number) => void;

function adamArguments({ scale, l2, decay, fresh1, beta2, fresh2, size, root, eps }: AdamNumbers): number[] {
  return [scale, l2, decay, fresh1, beta2, fresh2, size, root, eps];
}

function sgdArguments({ scale, l2, rate, kept, ahead, direct }: SgdNumbers): number[] {
  return [scale, l2, rate, kept, ahead, direct];
}

/** The kernels check no bounds. */
function checkedLength(vectors: readonly Float32Array[]): number {
  const length = (vectors[0] as Float32Array).length;
  if (vectors.some((v) => v.length !== length)) throw new RangeError('the vectors differ in length');
  return length;
}

/** The buffer through which vectors of other memory go. */
class Tiles {
  readonly space = new Workspace(4 * 4 * TILE);
  readonly #tiles = Array.from({ length: 4 }, () => this.space.floats(TILE));

  run(
    vectors: readonly Float32Array[],
    at: number,
    count: number,
    call: Call,
    kernels: KernelFunctions<OptimizerFunction>,
  ): void {
    for (const [k, vector] of vectors.entries()) this.#tile(k).set(vector.subarray(at, at + count));
    call(kernels, vectors.map((_, k) => this.#tile(k).byteOffset), count); // biome-ignore format: one thought
    // The gradient (1) is not changed.
    for (const [k, vector] of vectors.entries()) if (k !== 1) vector.set(this.#tile(k).subarray(0, count), at);
  }

  #tile(k: number): Float32Array {
    return this.#tiles[k] as Float32Array;
  }
}
