import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../shared/node/package-root.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import type { Shard } from './mail-data.ts';

/** Children that do not end by themselves after SIGTERM are killed. */
const GRACE_MS = 5_000;

export interface LocalClient {
  readonly organisation: string;
  readonly pid: number | undefined;
  /** Exit code, or the signal's name, once it ended. */
  readonly ended: Promise<number | string>;
}

export interface LocalClients {
  readonly clients: readonly LocalClient[];
  stop(): Promise<void>;
}

/**
 * Starts one client process for each shard, exactly as an organisation would: a join link, its own data, its own policy, its
 * own state directory. None of them is given anything else.
 * @param onTrouble - a sentence about a client that failed or died; the run goes on without it
 */
export async function startLocalClients(options: {
  readonly dir: string;
  readonly plan: Plan;
  readonly seats: readonly { readonly shard: Shard; readonly link: string }[];
  readonly onTrouble: (organisation: string, what: string) => void;
}): Promise<LocalClients> {
  const children: ChildProcess[] = [];
  const clients: LocalClient[] = [];
  let stopping = false;
  for (const { shard, link } of options.seats) {
    const policy = await writePolicy(join(options.dir, shard.organisation), options.plan);
    const child = spawnClient(shard, link, policy, join(options.dir, shard.organisation));
    const failure = followOutput(child);
    const ended = new Promise<number | string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
    });
    void ended.then((how) => {
      if (!stopping && how !== 0) options.onTrouble(shard.organisation, failure() ?? `its process ended (${how})`);
    });
    children.push(child);
    clients.push({ organisation: shard.organisation, pid: child.pid, ended });
  }
  return {
    clients,
    async stop() {
      stopping = true;
      const running = children.filter((c) => c.exitCode === null && c.signalCode === null);
      for (const child of running) child.kill('SIGTERM');
      const killer = setTimeout(() => {
        for (const child of running) child.kill('SIGKILL');
      }, GRACE_MS);
      await Promise.all(clients.map((c) => c.ended));
      clearTimeout(killer);
    },
  };
}

/** A policy that allows this plan and nothing beyond it, as a careful site would write after reading it. */
async function writePolicy(dir: string, plan: Plan): Promise<string> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const policy = {
    maximumEpsilon: plan.privacy.epsilon,
    maximumDelta: plan.privacy.delta,
    maximumEpsilonPerPeriod: plan.privacy.epsilon,
    minimumCohort: plan.secureAggregation.minimumCohort,
    minimumColluders: plan.secureAggregation.colluders,
    maximumRounds: plan.stages.reduce((n, s) => n + s.rounds, 0),
    labels: [plan.task.labels],
    scopes: [plan.privacy.scope],
  };
  const file = join(dir, 'policy.json');
  await writeFile(file, `${JSON.stringify(policy, null, 2)}\n`, { mode: 0o600 });
  return file;
}

function spawnClient(shard: Shard, link: string, policy: string, dir: string): ChildProcess {
  const flags = { join: link, data: shard.file, policy, organisation: shard.organisation, state: join(dir, 'state') };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  return spawn(process.execPath, [join(packageRoot, 'bin', 'tacit.js'), 'client', '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A Ctrl-C in the terminal reaches the parent only, which ends the children in order.
    detached: true,
  });
}

/** Drains the child's lines; the answer is the last failure that it told of. */
function followOutput(child: ChildProcess): () => string | undefined {
  let failure: string | undefined;
  const read = (stream: NodeJS.ReadableStream | null): void => {
    if (stream === null) return;
    createInterface({ input: stream }).on('line', (line) => {
      failure = failureIn(line) ?? failure;
    });
  };
  read(child.stdout);
  read(child.stderr);
  return () => failure;
}

function failureIn(line: string): string | undefined {
  try {
    const event = JSON.parse(line) as {
      event?: string;
      code?: string;
      what?: string;
      message?: string;
      reason?: string;
    };
    if (event.event !== 'error' && event.event !== 'failed' && event.event !== 'refused') return undefined;
    return `${event.code}: ${event.what ?? event.message ?? event.reason}`;
  } catch {
    return line.trim() === '' ? undefined : line.slice(0, 500);
  }
}
