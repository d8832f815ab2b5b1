import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { packageRoot } from '../../shared/node/package-root.ts';
import type { Shape } from './ours.ts';

const run = promisify(execFile);
const script = join(packageRoot, 'bench', 'peers', 'torch_steps.py');
const packages = ['torch==2.15.0', 'opacus==1.6.0'];

/** A Python with PyTorch and Opacus, or why there is none. */
export type Peers = { readonly python: string } | { readonly reason: string };

/**
 * A virtual environment of its own in `home`, made with pip where there is none yet. It is some gigabytes, since PyPI's
 * wheels of PyTorch bring CUDA along.
 */
export async function installPeers(home = join(tmpdir(), 'tacit-bench-python')): Promise<Peers> {
  const python = join(home, 'bin', 'python');
  const works = (): Promise<boolean> => run(python, ['-c', 'import torch, opacus']).then(yes, no);
  if (await works()) return { python };
  try {
    await mkdir(home, { recursive: true });
    await run('python3', ['-m', 'venv', home]);
    console.error(`installing ${packages.join(', ')} into ${home}`);
    await run(python, ['-m', 'pip', 'install', '--quiet', '--no-cache-dir', '--only-binary=:all:', ...packages], {
      maxBuffer: 2 ** 26,
    });
    if (await works()) return { python };
    return { reason: 'PyTorch was installed and does not load' };
  } catch (cause) {
    const lines = (cause instanceof Error ? cause.message : String(cause)).trim().split('\n');
    return { reason: `PyTorch could not be installed: ${lines.at(-1)}` };
  }
}

/** Deletes an environment that `installPeers` made. */
export async function removePeers(home: string): Promise<void> {
  await access(join(home, 'pyvenv.cfg'));
  await rm(home, { recursive: true, force: true });
}

export type PeerKind = 'plain' | 'default' | 'opacus-per-sample' | 'opacus-ghost';

/** A Python process that holds one model and does one step when asked. */
export interface Peer {
  /** CPU milliseconds of one whole step. */
  step(): Promise<number>;
  close(): Promise<void>;
}

/** @throws when the script stops, with what it printed last */
export async function openPeer(python: string, kind: PeerKind, shape: Shape): Promise<Peer> {
  const env = { ...process.env, OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1' };
  const child = spawn(python, [script], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => {
    complaint = `${complaint}${text}`.slice(-2000);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (request: object): Promise<Record<string, unknown>> => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${kind} stopped: ${complaint.trim().split('\n').at(-1)}`);
    return JSON.parse(value as string) as Record<string, unknown>;
  };
  await ask({ make: kind, shape });
  return {
    step: async () => (await ask({ step: true }))['cpu_ms'] as number,
    async close() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

const yes = (): boolean => true;
const no = (): boolean => false;
