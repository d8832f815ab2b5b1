/** A module whose functions named in `off` do nothing, or what `instead` says. For `vi.mock`: the product has no such switch. */
export function switchable<M extends object>(
  real: M,
  off: ReadonlySet<string>,
  instead: Readonly<Record<string, (...args: never[]) => unknown>> = {},
): M {
  const entries = Object.entries(real).map(([name, value]) => {
    if (typeof value !== 'function') return [name, value];
    return [name, (...args: never[]) => (off.has(name) ? instead[name]?.(...args) : value(...args))];
  });
  return Object.fromEntries(entries) as M;
}
