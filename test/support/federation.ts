import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Server as SocketServer } from 'socket.io';
import { approve, openingEntry } from '../../coordinator/budgets/budget-opening.ts';
import { type Coordinator, startCoordinatorService } from '../../coordinator/coordinator.ts';
import { createHttpApp } from '../../coordinator/http/app.ts';
import { refuseUntilReady } from '../../coordinator/http/not-ready.ts';
import { readModelFiles } from '../../coordinator/models/model-files.ts';
import { attachGateway, type ParticipantHub } from '../../coordinator/realtime/gateway.ts';
import { utf8 } from '../../shared/core/bytes.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { type Signer, signerFromSeed } from '../../shared/core/signing.ts';
import { openLedger } from '../../shared/ledger/log.ts';
import { parseYaml } from '../../shared/node/documents.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import type { ParticipantEvent } from '../../shared/participant/events.ts';
import { localTrainer } from '../../shared/participant/local-trainer.ts';
import type { ParticipantOptions } from '../../shared/participant/options.ts';
import type { Policy } from '../../shared/participant/policy.ts';
import { runParticipant } from '../../shared/participant/session.ts';
import { parsePlan } from '../../shared/protocol/plan.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import type { Store } from '../../shared/store/port.ts';
import type { TextRecord } from '../../shared/text/record.ts';

/** A real coordinator on loopback: HTTP, socket.io, ledger and engine, over any store. */
export interface TestCoordinator {
  readonly coordinator: Coordinator;
  readonly url: string;
  close(): Promise<void>;
}

export interface TestCoordinatorOptions {
  readonly store: Store;
  readonly port?: number;
  readonly seed?: number;
  /** Where participants are told to go; default the port that it listens on. */
  readonly publicUrl?: string;
  /** Stands between participants and coordinator. */
  readonly between?: (hub: ParticipantHub) => ParticipantHub;
}

export async function startTestCoordinator({
  store,
  port = 0,
  seed = 1,
  publicUrl,
  between = (hub) => hub,
}: TestCoordinatorOptions): Promise<TestCoordinator> {
  const http: HttpServer = createServer();
  const ready = refuseUntilReady(http);
  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const signer = signerFromSeed(new Uint8Array(32).fill(seed));
  const log = pino({ level: process.env['TACIT_TEST_LOG'] ?? 'silent' });
  const ledger = await openLedger({ store, stream: 'ledger', origin: 'test.example/tacit', signer, clock: Date });
  const coordinator = await startCoordinatorService({
    store,
    ledger,
    signer,
    engine: onnxCpuEngine(),
    rng: systemRng,
    clock: Date,
    log,
    name: 'test',
    version: '0.0.0',
    publicUrl: publicUrl ?? url,
    readModel: readModelFiles,
    parsePlan: (text, where) => parsePlan(parseYaml(text, where), where),
  });
  ready();
  const closing = new AbortController();
  const pagesDir = join(packageRoot, 'dist', 'pages');
  http.on(
    'request',
    createHttpApp({
      service: coordinator,
      pagesDir,
      operatorToken: 'operator',
      log,
      publicOrigin: publicUrl ?? url,
      clock: Date,
      closing: closing.signal,
    }),
  );
  const sockets: SocketServer = attachGateway(http, between(coordinator.desk), systemRng, log);
  const close = async (): Promise<void> => {
    closing.abort();
    await coordinator.close();
    await sockets.close();
    http.closeAllConnections();
  };
  return { coordinator, url, close };
}

export interface PlanOptions {
  readonly rounds?: number;
  readonly loraRounds?: number;
  readonly epsilon?: number;
  readonly every?: number;
  readonly patience?: number;
  readonly phase?: string;
  readonly training?: string;
  readonly join?: string;
  readonly server?: string;
  /** `model.from`, as YAML. */
  readonly from?: string;
  /** `none`: the plan names no head, as for pre-training. */
  readonly head?: 'mean' | 'pooler' | 'none';
  readonly train?: 'head' | 'all';
  /** `stages`, as YAML, instead of the ones of the options above. */
  readonly stages?: string;
  /** `privacy`, as YAML. */
  readonly privacy?: string;
  /** `task`, as YAML. */
  readonly task?: string;
  readonly ringBits?: 16 | 20 | 32;
  /** Participants that the first round waits for. */
  readonly minimum?: number;
}

export function planText({
  rounds = 2,
  loraRounds = 0,
  epsilon = 3,
  every = 1,
  patience,
  phase = '10s',
  training = '60s',
  join = '60s',
  server,
  minimum = 5,
  ringBits = 32,
  from = 'models/tacit-mini',
  head = 'mean',
  train = 'head',
  task = '{ kind: classification, labels: [ham, spam], text: text, label: label }',
  privacy = `{ unit: record, epsilon: ${epsilon}, delta: 1e-5, scope: mail, period: "2026" }`,
  stages,
}: PlanOptions = {}): string {
  const step = server ?? '{ optimizer: sgd, learningRate: 10, momentum: 0.9, average: 2 }';
  const lora = `
  - { algorithm: dp-fedsgd, train: { lora: { rank: 2, alpha: 4, targets: [query, value] } }, rounds: ${loraRounds}, samplingProbability: 0.5, l2Clip: 0.2, server: { optimizer: sgd, learningRate: 0.5 } }`;
  return `
name: test-mail
purpose: A test.
model: { from: ${from}, ${head === 'none' ? '' : `head: ${head}, `}maxTokens: 32 }
task: ${task}
privacy: ${privacy}
stages:
${stages ?? `  - { algorithm: dp-fedsgd, train: ${train}, rounds: ${rounds}, samplingProbability: 1, l2Clip: 0.2, server: ${step} }${loraRounds > 0 ? lora : ''}`}
secureAggregation: { minimumCohort: 4, colluders: 1, ringBits: ${ringBits} }
deadlines: { join: ${join}, training: ${training}, phase: ${phase} }
evaluation: { every: ${every}${patience === undefined ? '' : `, patience: ${patience}`} }
clients: { minimum: ${minimum} }
`;
}

/** Opens the budget that `planText` asks for, with two people's keys. */
export async function openTestBudget(coordinator: Coordinator, epsilon: number, unit = 'record'): Promise<void> {
  const budget = { scope: 'mail', unit, period: '2026' };
  const opening = {
    budget,
    epsilon: String(epsilon),
    delta: '0.001',
    revision: 0,
    purpose: 'a test',
    legalBasis: 'none',
  };
  const people = ['operator', 'officer'].map((name, i) =>
    approve(opening, name, signerFromSeed(new Uint8Array(32).fill(100 + i))),
  );
  await coordinator.openBudget(openingEntry(opening, people));
}

const openings = ['dear friend', 'please see', 'meeting about', 'cheap offer', 'win money', 'project status'];

/** Short made-up mails; the label can be told from the text. */
export function madeUpMail(count: number, from: number): TextRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i;
    const opening = openings[n % openings.length] as string;
    const label = n % openings.length === 3 || n % openings.length === 4 ? 'spam' : 'ham';
    return { id: `made-up:${n}`, text: `${opening} number ${n} for the secret department ${n * 7919}`, label };
  });
}

export function jsonLines(records: readonly object[]): Uint8Array {
  return utf8(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

export const openPolicy: Policy = {
  maximumEpsilon: 10,
  maximumDelta: 1e-3,
  maximumEpsilonPerPeriod: 100,
  minimumCohort: 4,
  minimumColluders: 1,
  maximumRounds: 1000,
  scopes: ['mail'],
};

export interface TestParticipant {
  readonly events: ParticipantEvent[];
  readonly ended: Promise<void>;
  readonly store: Store;
  readonly signer: Signer;
  stop(): void;
}

export interface ParticipantSetup extends Partial<Omit<ParticipantOptions, 'link'>> {
  readonly link: string;
  readonly index: number;
  readonly texts?: readonly TextRecord[];
}

export function startParticipant({
  link,
  index,
  texts = madeUpMail(30, 1000 * index),
  ...more
}: ParticipantSetup): TestParticipant {
  const stopping = new AbortController();
  const events: ParticipantEvent[] = [];
  const store = more.store ?? createMemoryStore();
  const signer = more.signer ?? signerFromSeed(new Uint8Array(32).fill(10 + index));
  const session = runParticipant({
    link,
    organisation: `org-${index}`,
    answer: () => Promise.resolve({ policy: openPolicy, records: texts }),
    createTrainer: localTrainer({ engine: onnxCpuEngine(), rng: systemRng }),
    engineName: 'onnx cpu',
    rng: systemRng,
    clock: Date,
    signal: stopping.signal,
    ...more,
    store,
    signer,
  });
  const follow = async (): Promise<void> => {
    for await (const event of session) events.push(event);
  };
  return { events, ended: follow(), store, signer, stop: () => stopping.abort() };
}

/** Resolves when `condition` holds, rejects after four minutes: machines are busy. */
export async function until(condition: () => boolean, what: string, timeoutMs = 240_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** One run of `planText` with an invitation for `seats` participants. */
export async function createTestRun(
  coordinator: Coordinator,
  options: PlanOptions = {},
  seats = 10,
  heldOutRows: (count: number, from: number) => readonly object[] = madeUpMail,
): Promise<{ readonly id: string; readonly link: string }> {
  const rows = (from: number) => jsonLines(heldOutRows(40, from));
  const heldOut = { validation: rows(50_000), test: rows(60_000) };
  const { id } = await coordinator.createRun(planText(options), 'test plan', heldOut);
  const { code } = await coordinator.invite(id, { uses: seats, expiresAt: Date.now() + 3_600_000 });
  return { id, link: code };
}
