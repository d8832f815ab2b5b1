import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../shared/node/package-root.ts';

const sources = join(packageRoot, 'shared', 'kernels', 'assembly');

export interface CompiledKernel {
  /** File name of the source without `.ts`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export function generatedPath(name: string): string {
  return join(packageRoot, 'shared', 'kernels', 'generated', `${name}.ts`);
}

/** The module that is checked in, so that nobody needs the compiler to build. A test compiles again and compares. */
export function generatedText(name: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,110}/g) ?? [];
  const literal = lines.map((line) => `  '${line}'`).join(' +\n');
  return `/** shared/kernels/assembly/${name}.ts, compiled by \`npm run build:kernels\`. */\nexport const ${name}Wasm =\n${literal};\n`;
}

/** Every kernel of shared/kernels/assembly: SIMD, no runtime, no static data, memory handed in by the host. */
export async function compileKernels(): Promise<CompiledKernel[]> {
  // Loaded here: only who changes a kernel needs the compiler.
  const asc = await import('assemblyscript/asc');
  const files = (await readdir(sources)).filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts')).sort();
  const compiled: CompiledKernel[] = [];
  for (const file of files) {
    const name = file.slice(0, -'.ts'.length);
    let bytes: Uint8Array | undefined;
    const options = ['-O3', '--noAssert', '--runtime', 'stub', '--importMemory', '--initialMemory', '1'];
    const { error, stderr } = await asc.main([file, ...options, '--enable', 'simd', '--outFile', 'out.wasm'], {
      readFile: (path) => (path === file || path.startsWith('inline/') ? sourceOf(path) : null),
      writeFile: (path, contents) => {
        if (path === 'out.wasm') bytes = contents as Uint8Array;
      },
      listFiles: () => [],
    });
    if (error !== null || bytes === undefined) throw new Error(`${file} does not compile:\n${stderr.toString()}`);
    compiled.push({ name, bytes });
  }
  return compiled;
}

/** A kernel, or what several of them have in line; null where the compiler looks for what is not there. */
function sourceOf(path: string): string | null {
  try {
    return readFileSync(join(sources, path), 'utf8');
  } catch {
    return null;
  }
}
