import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { compileKernels, generatedPath, generatedText } from '../../../scripts/kernels/compile.ts';

test('the checked-in WebAssembly is what the sources compile to', async () => {
  const kernels = await compileKernels();
  expect(kernels.map(({ name }) => name)).toContain('ring');
  for (const { name, bytes } of kernels)
    expect(readFileSync(generatedPath(name), 'utf8'), `run npm run build:kernels (${name})`).toBe(
      generatedText(name, bytes),
    );
});
