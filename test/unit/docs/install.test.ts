import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

/**
 * npm runs the script of a package at `npm ci` only where package-lock.json says that it has one. onnxruntime-node would fetch
 * CUDA libraries from outside (its processor binaries are inside the package) and fail on a closed network; core-js asks for
 * money. `npm update` may write the flag again: take it out again. npm from 11.16 on keeps to `allowScripts` besides.
 */
it('npm ci runs no script of a dependency that Tacit cannot do without', async () => {
  const lock = JSON.parse(await readFile(new URL('../../../package-lock.json', import.meta.url), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly hasInstallScript?: true; readonly optional?: true }>>;
  };
  const required = Object.entries(lock.packages).filter(([, p]) => p.hasInstallScript && !p.optional);
  expect(required.map(([path]) => path)).toEqual([]);
});
