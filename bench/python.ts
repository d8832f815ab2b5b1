import { execFile } from 'node:child_process';
import { access, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A Python with what a comparison needs, or why there is none. */
export type Peers = { readonly python: string } | { readonly reason: string };

/** The virtual environment in `home`, made with pip where it does not import `modules` yet. */
export async function pythonWith(home: string, packages: readonly string[], modules: string): Promise<Peers> {
  const python = join(home, 'bin', 'python');
  const works = (): Promise<boolean> => run(python, ['-c', `import ${modules}`]).then(yes, no);
  if (await works()) return { python };
  try {
    await mkdir(home, { recursive: true });
    await run('python3', ['-m', 'venv', home]);
    console.error(`installing ${packages.join(', ')} into ${home}`);
    await run(python, ['-m', 'pip', 'install', '--quiet', '--no-cache-dir', '--only-binary=:all:', ...packages], {
      maxBuffer: 2 ** 26,
    });
    if (await works()) return { python };
    return { reason: `${modules} was installed and does not load` };
  } catch (cause) {
    const lines = (cause instanceof Error ? cause.message : String(cause)).trim().split('\n');
    return { reason: `${modules} could not be installed: ${lines.at(-1)}` };
  }
}

/** Deletes an environment that `pythonWith` made. */
export async function removePeers(home: string): Promise<void> {
  await access(join(home, 'pyvenv.cfg'));
  await rm(home, { recursive: true, force: true });
}

const yes = (): boolean => true;
const no = (): boolean => false;
