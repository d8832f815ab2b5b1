import { writeFile } from 'node:fs/promises';
import { compileKernels, generatedPath, generatedText } from './compile.ts';

/** `npm run build:kernels`: compiles shared/kernels/assembly and writes the bytes into shared/kernels/generated. */
for (const { name, bytes } of await compileKernels()) {
  await writeFile(generatedPath(name), generatedText(name, bytes));
  console.log(`${name}: ${bytes.length} bytes`);
}
