import { evaluateInTypeScript, multiplyAddInTypeScript } from './field-js.ts';
import { fieldWasm } from './generated/field.ts';
import { instantiate, Workspace } from './module.ts';

/** GF(2^8) with the AES polynomial, on secrets of whole 16-byte blocks and public points: no table or branch on a secret. */
export interface FieldKernels {
  readonly kind: 'wasm' | 'typescript';
  /** out = Σ coefficients[k]·x^k; `coefficients` are laid one after the other, each as long as `out`. */
  evaluate(out: Uint32Array, coefficients: Uint32Array, x: number): void;
  /** out ^= factor·term. */
  multiplyAdd(out: Uint32Array, term: Uint32Array, factor: number): void;
}

export const fieldInTypeScript: FieldKernels = {
  kind: 'typescript',
  evaluate: evaluateInTypeScript,
  multiplyAdd: multiplyAddInTypeScript,
};

/** Kernels over a workspace that holds `bytes`. */
export function openField(bytes: number): { readonly field: FieldKernels; readonly space: Workspace } {
  const space = new Workspace(bytes + 32);
  return { field: fieldInWasm(space) ?? fieldInTypeScript, space };
}

/** Undefined where the platform has no WebAssembly SIMD. Takes 32 bytes of the workspace. */
export function fieldInWasm(space: Workspace): FieldKernels | undefined {
  const wasm = instantiate<'evaluate' | 'multiplyAdd'>(fieldWasm, space.memory);
  if (wasm === undefined) return undefined;
  const scratch = space.at(space.bytes(32));
  const blocksOf = (out: Uint32Array): number => {
    if (out.length % 4 !== 0) throw new RangeError('not whole blocks of 16 bytes');
    return out.length / 4;
  };
  return {
    kind: 'wasm',
    evaluate(out, coefficients, x) {
      const blocks = blocksOf(out);
      if (coefficients.length % out.length !== 0) throw new RangeError('coefficients are not as long as the value');
      const threshold = coefficients.length / out.length;
      wasm.evaluate(space.at(out), space.at(coefficients), threshold, blocks, x, scratch);
    },
    multiplyAdd(out, term, factor) {
      if (term.length !== out.length) throw new RangeError('the term is not as long as the value');
      wasm.multiplyAdd(space.at(out), space.at(term), blocksOf(out), factor, scratch);
    },
  };
}
