import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../shared/node/package-root.ts';
import { type Peers, pythonWith } from '../python.ts';
import type { Shape } from './ours.ts';

const script = join(packageRoot, 'bench', 'peers', 'torch_steps.py');
const packages = ['torch==2.15.0', 'opacus==1.6.0'];

/**
 * A virtual environment of its own in `home`, made with pip where there is none yet. It is some gigabytes, since PyPI's
 * wheels of PyTorch bring CUDA along.
 */
export function installPeers(home = join(tmpdir(), 'tacit-bench-python')): Promise<Peers> {
  return pythonWith(home, packages, 'torch, opacus');
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
