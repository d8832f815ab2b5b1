import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EXIT } from '../../shared/node/exit-codes.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { labelsOf, type Plan, requirePromise } from '../../shared/protocol/plan.ts';
import type { Shard } from './mail-data.ts';

/** Children that do not end by themselves after SIGTERM are killed. */
const GRACE_MS = 5_000;

/** How often a client that died is started again; its state directory lets it go on where it was. */
const RESTARTS = 3;
/** Exit codes of a client that has said no: starting it again would not change its mind. */
const DECIDED: readonly (number | string)[] = [
  EXIT.ok,
  EXIT.configuration,
  EXIT.budgetRefused,
  EXIT.verificationFailed,
];

export interface LocalClient {
  readonly organisation: string;
  readonly pid: number | undefined;
}

export interface LocalClients {
  readonly clients: readonly LocalClient[];
  stop(): Promise<void>;
}

interface Seat {
  readonly shard: Shard;
  readonly link: string;
}

/**
 * Starts one client process for each shard, exactly as an organisation would: a join link, its own data, its own policy, its
 * own state directory. None of them is given anything else.
 * @param onTrouble - a sentence about a client that failed or died, and whether it was started again; the run goes on
 */
export async function startLocalClients(options: {
  readonly dir: string;
  readonly plan: Plan;
  readonly seats: readonly Seat[];
  readonly onTrouble: (organisation: string, what: string, restarted: boolean) => void;
}): Promise<LocalClients> {
  const keepers: Keeper[] = [];
  for (const seat of options.seats) {
    const dir = join(options.dir, seat.shard.organisation);
    const policy = await writePolicy(dir, options.plan);
    keepers.push(
      new Keeper(
        () => spawnClient(seat.shard, seat.link, policy, dir),
        (what, again) => options.onTrouble(seat.shard.organisation, what, again),
      ),
    );
  }
  return {
    clients: keepers.map(({ pid }, i) => ({ organisation: options.seats[i]?.shard.organisation ?? '', pid })),
    stop: async () => void (await Promise.all(keepers.map((k) => k.stop()))),
  };
}

/** One client's process, started again when it dies. */
class Keeper {
  readonly #spawn: () => ChildProcess;
  readonly #onTrouble: (what: string, restarted: boolean) => void;
  #child: ChildProcess;
  #ended: Promise<void>;
  #restarts = 0;
  #stopping = false;

  constructor(spawn: () => ChildProcess, onTrouble: (what: string, restarted: boolean) => void) {
    this.#spawn = spawn;
    this.#onTrouble = onTrouble;
    this.#child = spawn();
    this.#ended = this.#watch();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#child.kill('SIGTERM');
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), GRACE_MS);
    await this.#ended;
    clearTimeout(killer);
  }

  async #watch(): Promise<void> {
    for (;;) {
      const failure = followOutput(this.#child);
      const how = await ending(this.#child);
      if (this.#stopping || how === EXIT.ok) return;
      const again = !DECIDED.includes(how) && this.#restarts++ < RESTARTS;
      this.#onTrouble(failure() ?? `its process ended (${how})`, again);
      if (!again) return;
      this.#child = this.#spawn();
    }
  }
}

/** The exit code, or the signal's name, once the process has ended. */
function ending(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
}

/** A policy that allows this plan and nothing beyond it, as a careful site would write after reading it. */
async function writePolicy(dir: string, plan: Plan): Promise<string> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const { epsilon, delta, scope } = requirePromise(plan);
  const policy = {
    maximumEpsilon: epsilon,
    maximumDelta: delta,
    maximumEpsilonPerPeriod: epsilon,
    minimumCohort: plan.secureAggregation.minimumCohort,
    minimumColluders: plan.secureAggregation.colluders,
    maximumRounds: plan.stages.reduce((n, s) => n + s.rounds, 0),
    labels: [labelsOf(plan)],
    scopes: [scope],
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
