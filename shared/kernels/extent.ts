import { squaresWasm } from './generated/squares.ts';
import { instantiate, type KernelFunctions, Workspace } from './module.ts';
import { squaresInTypeScript } from './squares.ts';

/** How far a vector reaches. */
export interface Extent {
  /** Σ x² in float64: not finite when a number is not. */
  readonly square: number;
  /** The largest |x| of the numbers that are not NaN. */
  readonly largest: number;
}

/** Copied to the kernels and read there twice: in cache. A multiple of 8. */
const TILE_NUMBERS = 2 ** 14;

interface Tile {
  readonly numbers: Float32Array;
  /** Undefined where there is no WebAssembly SIMD. */
  readonly kernels: KernelFunctions<'squares' | 'largest'> | undefined;
}

let tile: Tile | undefined;

/** {@link Extent} of a vector anywhere, tile by tile, with the same bits by WebAssembly and TypeScript. */
export function extentOf(vector: Float32Array): Extent {
  tile ??= openTile();
  let square = 0;
  let largest = 0;
  for (let at = 0; at < vector.length; at += TILE_NUMBERS) {
    const part = vector.subarray(at, at + TILE_NUMBERS);
    // What is left over after eights counts as zeros.
    const numbers = tile.numbers.subarray(0, Math.ceil(part.length / 8) * 8);
    numbers.fill(0, part.length);
    numbers.set(part);
    const reach = extentInTile(tile, numbers);
    square += reach.square;
    largest = Math.max(largest, reach.largest);
  }
  tile.numbers.fill(0);
  return { square, largest };
}

function extentInTile({ kernels }: Tile, numbers: Float32Array): Extent {
  if (kernels === undefined) return extentInTypeScript(numbers);
  const [at, count] = [numbers.byteOffset, numbers.length];
  return { square: kernels.squares(at, count), largest: kernels.largest(at, count) };
}

/** What the kernels are tested against. */
export function extentInTypeScript(numbers: Float32Array): Extent {
  let largest = 0;
  for (let i = 0; i < numbers.length; i++) {
    const size = Math.abs(numbers[i] as number);
    if (size > largest) largest = size;
  }
  return { square: squaresInTypeScript(numbers), largest };
}

function openTile(): Tile {
  const space = new Workspace(4 * TILE_NUMBERS);
  return { numbers: space.floats(TILE_NUMBERS), kernels: instantiate(squaresWasm, space.memory) };
}
