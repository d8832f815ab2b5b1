import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { TacitError } from '../../shared/core/errors.ts';
import { systemRng } from '../../shared/core/rng.ts';
import type { Terminal } from '../../shared/node/command-line.ts';
import { selectNodeEngine } from '../../shared/node/engines.ts';
import { formatSeconds } from '../../shared/node/format.ts';
import { type Plan, requirePromise } from '../../shared/protocol/plan.ts';
import type { RunView } from '../../shared/protocol/views.ts';
import type { CoordinatorConfig } from '../config.ts';
import type { Coordinator } from '../coordinator.ts';
import { passphraseFromEnvironment } from '../keys/identity.ts';
import { type RunningCoordinator, startCoordinator } from '../main.ts';
import { readModelFiles } from '../models/model-files.ts';
import { readPlanFile } from '../runs/plan-file.ts';
import type { CoordinatorService, TestScore } from '../service.ts';
import { openDemonstrationBudget } from './budget.ts';
import { closingLines, finishedEvent, type Outcome } from './closing.ts';
import { trainWithoutNoise } from './compare.ts';
import { type LocalClients, startLocalClients } from './local-clients.ts';
import { type MailData, writeMailData } from './mail-data.ts';
import { followRun } from './progress.ts';
import { verifyOwnLedger } from './verify-own-ledger.ts';

export type StartErrorCode = 'RUN_FAILED' | 'RUN_STOPPED' | 'INTERRUPTED';

export interface StartOptions {
  readonly planFile: string;
  /** Kept if given; otherwise everything lies in a temporary directory that is deleted at the end. */
  readonly dataDir: string | undefined;
  readonly config: Omit<CoordinatorConfig, 'dataDir'>;
  /** End after the table instead of serving on. */
  readonly exit: boolean;
  /** Train the same without noise too. */
  readonly compare: boolean;
  readonly terminal: Terminal;
  readonly log: Logger;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** What every step below needs to know. */
interface Scene extends StartOptions {
  readonly dir: string;
  readonly plan: Plan;
  readonly planText: string;
}

const INVITATION_MS = 24 * 3_600_000;
/** Browsers that may join the running training. */
const GUESTS = 8;

/**
 * The whole loop on one machine: a coordinator, the mail that npm brought along, five organisations as processes of their own, a
 * run under a budget, the table. Ends after the table with `exit`, else when `signal` aborts.
 * @throws PLAN_*, BUDGET_EXCEEDED (the budget of an earlier start in this directory is spent), PORT_TAKEN, RUN_FAILED, …
 */
export async function start(options: StartOptions): Promise<void> {
  const { terminal, signal } = options;
  const dir = options.dataDir === undefined ? await mkdtemp(join(tmpdir(), 'tacit-')) : resolve(options.dataDir);
  const closers: (() => Promise<void>)[] = [];
  if (options.dataDir === undefined) closers.push(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  try {
    const { plan, text: planText } = await readPlanFile(options.planFile);
    const scene: Scene = { ...options, dir, plan, planText };
    terminal.say(`plan         ${options.planFile}: ${plan.purpose}`);
    const coordinator = await startCoordinator(
      { ...options.config, dataDir: dir },
      passphraseFromEnvironment(),
      options.log,
    );
    closers.push(() => coordinator.close());
    if (signal.aborted) throw interrupted();
    const data = await writeMailData(join(dir, 'data'));
    const sizes = data.shards.map((s) => `${s.organisation} ${s.records}`).join(', ');
    terminal.say(`mail         ${data.records} mails: ${sizes}; validation and test mails stay with the coordinator`);
    const run = await openRun(coordinator.service, scene, data);
    const clients = await inviteClients(coordinator.service, run, scene, data);
    closers.push(() => clients.stop());
    await announce(coordinator, run, scene);
    const ended = await followToEnd(coordinator.service, run.id, scene);
    const outcome = await outcomeOf(coordinator.service, ended, scene, data);
    for (const line of closingLines(outcome)) terminal.say(line);
    terminal.emit(finishedEvent(outcome));
    if (options.exit) return;
    terminal.say(`\nserving ${coordinator.url} until Ctrl-C`);
    await aborted(signal);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

/** The run of an earlier start that has not ended, or a new one. */
async function openRun(service: Coordinator, scene: Scene, data: MailData): Promise<RunView> {
  const { plan, terminal } = scene;
  const before = service.runs().find((r) => r.name === plan.name && (r.state === 'waiting' || r.state === 'running'));
  if (before !== undefined) {
    terminal.say(`run          ${before.id} goes on after round ${before.round}`);
    return before;
  }
  if (await openDemonstrationBudget(service, plan, systemRng)) {
    const { epsilon, scope, period } = requirePromise(plan);
    terminal.say(
      `budget       eps ${epsilon} for ${scope}, ${period}; opening it takes two people, here two keys made on the spot stand for them`,
    );
  }
  return service.createRun(scene.planText, scene.planFile, data.heldOut);
}

async function inviteClients(
  service: CoordinatorService,
  run: RunView,
  scene: Scene,
  data: MailData,
): Promise<LocalClients> {
  const expiresAt = Date.now() + INVITATION_MS;
  const seats = await Promise.all(
    data.shards.map(async (shard) => {
      const { code } = await service.invite(run.id, { organisation: shard.organisation, uses: 1, expiresAt });
      return { shard, link: code };
    }),
  );
  const clients = await startLocalClients({
    dir: join(scene.dir, 'clients'),
    plan: scene.plan,
    seats,
    onTrouble(organisation, what, restarted) {
      scene.terminal.say(`warning: ${organisation} is gone: ${what}${restarted ? '; started again' : ''}`);
      scene.terminal.emit({ event: 'clientGone', organisation, what, restarted });
    },
  });
  scene.terminal.say(`clients      ${clients.clients.map((c) => `${c.organisation} (process ${c.pid})`).join(', ')}`);
  return clients;
}

async function announce(coordinator: RunningCoordinator, run: RunView, { terminal, dir }: Scene): Promise<void> {
  const guest = await coordinator.service.invite(run.id, { uses: GUESTS, expiresAt: Date.now() + INVITATION_MS });
  const urls = {
    participant: guest.code,
    operator: `${coordinator.url}/runs.html`,
    compliance: `${coordinator.url}/compliance.html`,
  };
  terminal.emit({ event: 'started', run: run.id, urls, operatorTokenFile: join(dir, 'operator-token') });
  terminal.say(`participant  ${urls.participant}`);
  terminal.say(`operator     ${urls.operator}   (token: ${join(dir, 'operator-token')})`);
  terminal.say(`compliance   ${urls.compliance}`);
  for (const s of run.stages) {
    terminal.say(
      `stage ${s.index + 1}      ${s.train}: ${s.rounds} rounds, q ${s.samplingProbability}, ${s.updateElements} numbers a round, noise multiplier ${s.noiseMultiplier.toFixed(3)}`,
    );
  }
}

/** @throws RUN_FAILED, RUN_STOPPED, INTERRUPTED */
async function followToEnd(service: CoordinatorService, runId: string, scene: Scene): Promise<RunView> {
  const unfollow = followRun(service, runId, scene.plan, scene.terminal);
  try {
    const run = await ending(service, runId, scene.signal);
    if (run.state === 'finished') return run;
    const code: StartErrorCode = run.state === 'failed' ? 'RUN_FAILED' : 'RUN_STOPPED';
    throw new TacitError<StartErrorCode>(code, run.reason ?? `the run is ${run.state}`, { where: `run ${runId}` });
  } finally {
    unfollow();
  }
}

function ending(service: CoordinatorService, runId: string, signal: AbortSignal): Promise<RunView> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const run = service.run(runId);
      if (run === undefined || run.state === 'waiting' || run.state === 'running') return;
      unsubscribe();
      resolve(run);
    };
    const unsubscribe = service.subscribe(look);
    const stop = (): void => {
      unsubscribe();
      reject(interrupted());
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    look();
  });
}

function interrupted(): TacitError<StartErrorCode> {
  return new TacitError<StartErrorCode>('INTERRUPTED', 'interrupted before the run ended', {
    fix: 'With --data-dir the same command goes on where it stopped.',
  });
}

async function outcomeOf(service: CoordinatorService, run: RunView, scene: Scene, data: MailData): Promise<Outcome> {
  const seconds = performance.now() / 1000;
  const ledger = await verifyOwnLedger(service.ledger, service.store);
  for (const failure of ledger.failures) scene.terminal.say(`error: ${failure}`);
  const { scope, unit, period } = requirePromise(scene.plan);
  const budget = service.budgets().find((b) => b.scope === scope && b.unit === unit && b.period === period);
  return {
    run,
    rounds: service.rounds(run.id),
    test: await service.evaluateTest(run.id),
    withoutPrivacy: scene.compare ? await compare(data, scene) : undefined,
    budgetEpsilon: budget?.epsilon,
    seconds,
    ledger: { entries: ledger.entries, root: ledger.root, verified: ledger.verified },
  };
}

async function compare(data: MailData, { plan, terminal }: Scene): Promise<TestScore> {
  const started = performance.now();
  const { engine } = await selectNodeEngine();
  const files = await readModelFiles(plan.model.from);
  const score = await trainWithoutNoise({
    plan,
    files,
    engine,
    shards: data.shards,
    heldOut: data.heldOut,
    rng: systemRng,
  });
  terminal.say(
    `compared     the same steps without noise took ${formatSeconds((performance.now() - started) / 1000)} in one process`,
  );
  return score;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
