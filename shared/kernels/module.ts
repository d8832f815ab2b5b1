import { fromBase64 } from '../core/bytes.ts';

/** What a kernel exports: functions of numbers. Pointers are byte offsets into the memory that was handed in. */
export type KernelFunctions<N extends string> = Readonly<Record<N, (...numbers: number[]) => number>>;

const compiled = new Map<string, WebAssembly.Module | undefined>();

/** Undefined where there is no WebAssembly, no SIMD in it, or a policy that forbids to compile. */
function moduleOf(base64: string): WebAssembly.Module | undefined {
  if (!compiled.has(base64)) {
    try {
      compiled.set(base64, new WebAssembly.Module(fromBase64(base64)));
    } catch {
      compiled.set(base64, undefined);
    }
  }
  return compiled.get(base64);
}

/** An instance of a module of ./generated over `memory`, or undefined where WebAssembly with SIMD is not to be had. */
export function instantiate<N extends string>(
  base64: string,
  memory: WebAssembly.Memory | undefined,
): KernelFunctions<N> | undefined {
  if (memory === undefined) return undefined;
  const module = moduleOf(base64);
  if (module === undefined) return undefined;
  return new WebAssembly.Instance(module, { env: { memory } }).exports as KernelFunctions<N>;
}

const memories = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/** The memory of the workspace that a view's buffer belongs to, for a kernel to work where the numbers lie. */
export function memoryOf(buffer: ArrayBufferLike): WebAssembly.Memory | undefined {
  return memories.get(buffer);
}

/** A memory of fixed size, cut up once: it never grows, so views into it stay good. */
export class Workspace {
  /** Undefined where there is no WebAssembly: then the same cuts are made in a plain buffer. */
  readonly memory: WebAssembly.Memory | undefined;
  readonly #buffer: ArrayBuffer;
  #used = 0;

  /** @param bytes - sum of what will be taken, each rounded up to 16 */
  constructor(bytes: number) {
    const pages = Math.max(1, Math.ceil(bytes / 65_536));
    const present = typeof WebAssembly !== 'undefined';
    this.memory = present ? new WebAssembly.Memory({ initial: pages, maximum: pages }) : undefined;
    this.#buffer = this.memory?.buffer ?? new ArrayBuffer(pages * 65_536);
    if (this.memory !== undefined) memories.set(this.#buffer, this.memory);
  }

  words(count: number): Uint32Array {
    return new Uint32Array(this.#buffer, this.#take(4 * count), count);
  }

  floats(count: number): Float32Array {
    return new Float32Array(this.#buffer, this.#take(4 * count), count);
  }

  doubles(count: number): Float64Array {
    return new Float64Array(this.#buffer, this.#take(8 * count), count);
  }

  bytes(count: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.#take(count), count);
  }

  /** Byte offset of a view, for a kernel. @throws RangeError for a view of other memory */
  at(view: Uint32Array | Float32Array | Float64Array | Uint8Array): number {
    if (view.buffer !== this.#buffer) throw new RangeError('the view is not of this workspace');
    return view.byteOffset;
  }

  #take(bytes: number): number {
    const at = this.#used;
    this.#used += Math.ceil(bytes / 16) * 16;
    if (this.#used > this.#buffer.byteLength) throw new RangeError('the workspace is full');
    return at;
  }
}
