import fc from 'fast-check';
import { TacitError } from '../../shared/core/errors.ts';

/** Input that nobody asked for, for property tests of decoders and reducers. */

/** How many cases a property tries: `base`, times TACIT_FUZZ, which `npm run fuzz` sets. */
export function cases(base: number): number {
  return base * Number(process.env.TACIT_FUZZ ?? 1);
}

/** The work's result; a coded error whose code begins with `prefix` is an answer too. Any other exception is a bug. */
export function onlyCoded<T>(prefix: string, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof TacitError) || !error.code.startsWith(prefix)) throw error;
    return undefined;
  }
}

/** A copy of `value` with the thing at a random place replaced, removed or doubled. */
export function mutated(value: unknown, path: readonly number[], replacement: unknown): unknown {
  if (path.length === 0 || typeof value !== 'object' || value === null) return replacement;
  const [step = 0, ...rest] = path;
  if (Array.isArray(value)) {
    if (value.length === 0) return [replacement];
    const at = step % value.length;
    if (step % 7 === 0) return [...value, value[at]];
    if (step % 7 === 1) return value.filter((_, i) => i !== at);
    return value.map((item, i) => (i === at ? mutated(item, rest, replacement) : item));
  }
  const keys = Object.keys(value);
  const key = keys[step % Math.max(1, keys.length)] ?? 'x';
  if (step % 11 === 0) return { ...value, [`${key}x`]: replacement };
  return { ...value, [key]: mutated((value as Record<string, unknown>)[key], rest, replacement) };
}

/** Where in a value to strike. */
export const paths = fc.array(fc.nat(1000), { maxLength: 5 });
/** What no honest sender sends. */
export const anything = fc.oneof(
  fc.jsonValue(),
  fc.anything(),
  fc.string({ maxLength: 200 }),
  fc.constantFrom('', null, -1, 2 ** 53, 'A'.repeat(44)),
);
