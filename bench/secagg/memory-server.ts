import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { merge } from '../../coordinator/rounds/merge.ts';
import { freshOptimizer } from '../../coordinator/rounds/optimizer-state.ts';
import { RoundSession } from '../../coordinator/rounds/round-session.ts';
import { runEvent } from '../../coordinator/runs/run-events.ts';
import { RunJournal } from '../../coordinator/runs/run-journal.ts';
import type { RunEvent } from '../../coordinator/runs/run-log.ts';
import type { RunPorts } from '../../coordinator/runs/run-ports.ts';
import { errorCode } from '../../shared/core/errors.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { parseYaml } from '../../shared/node/documents.ts';
import { useOpensslCrypto } from '../../shared/node/native-crypto.ts';
import { createBlobFiles } from '../../shared/node/store/blob-files.ts';
import { commitTerms } from '../../shared/protocol/commitment.ts';
import type { SecaggFrame } from '../../shared/protocol/messages.ts';
import { parsePlan } from '../../shared/protocol/plan.ts';
import { clientReduce, startClient } from '../../shared/secagg/client.ts';
import type { ClientEffect, ClientState } from '../../shared/secagg/client-state.ts';
import type { ServerMessageName } from '../../shared/secagg/messages.ts';
import { EventLog } from '../../shared/store/log.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import type { Store } from '../../shared/store/port.ts';
import { layoutOf } from '../../shared/tensor/layout.ts';
import { configOf, identity, names, rosterOf, serverSigner } from '../../test/support/secagg-session.ts';
import { CHUNK_BYTES } from './client-round.ts';
import { mostResident } from './most-resident.ts';

/**
 * A process of its own: a whole session of the coordinator, with uploads in durable files, to the opened sum and the merge
 * into the next weights; prints the most memory that it ever held. Clients are real but for their vectors: the chunks of one
 * are alike and random, which no step can tell, and the sum is nobody's.
 */
const [dimension, n] = process.argv.slice(2).map(Number) as [number, number];
useOpensslCrypto();
const PLAN = `
name: memory
purpose: A measurement.
model: { from: models/tacit-mini, head: mean, maxTokens: 32 }
task: { kind: classification, labels: [a, b], text: text, label: label }
privacy: { unit: none, because: a measurement, scope: none }
stages:
  - algorithm: none
    train: all
    rounds: 9
    local: { epochs: 1, batchSize: 8, optimizer: sgd, learningRate: 1 }
    server: { optimizer: sgd, learningRate: 1, momentum: 0.9 }
secureAggregation: { minimumCohort: 4, colluders: 1, ringBits: 32 }
deadlines: { join: 60s, training: 60s, phase: 60s }
evaluation: { every: 1 }
clients: { minimum: 5 }
`;

/** Of a run whose only stage averages all weights, with momentum, and has had a round. */
async function journalOf(store: Store, elements: number): Promise<RunJournal> {
  const zeros = await store.putBlob(new Uint8Array(4 * elements));
  const plan = parsePlan(parseYaml(PLAN, 'plan'), 'plan');
  const terms = commitTerms(plan, [], [layoutOf([{ name: 'weights', shape: [elements] }])]);
  const optimizer = await freshOptimizer(store, { optimizer: 'sgd', learningRate: 1 });
  const at = '2026-01-01T00:00:00.000Z';
  const heldOut = { validation: zeros, test: zeros };
  const model = { iterate: zeros, candidate: zeros, optimizer };
  const events: RunEvent[] = [
    { type: 'created', id: 'run-1', at, terms, ledgerIndex: 0, reserved: null, heldOut },
    { type: 'stageStarted', stage: 0, at, overlays: [], carried: [], model },
  ];
  const { log } = await EventLog.open(createMemoryStore(), 'run/run-1', runEvent);
  return new RunJournal({ store } as RunPorts, log, events);
}

const dir = await mkdtemp(join(tmpdir(), 'tacit-bench-'));
try {
  const day = 86_400_000;
  const deadlines = { advertiseMs: day, sharesMs: day, maskedMs: day, consistentMs: day, unmaskMs: day };
  const config = { ...configOf({ n, minimumCohort: n, dimension, chunkBytes: CHUNK_BYTES }), deadlines };
  const states = new Map<string, ClientState>();
  const jobs: (() => Promise<void>)[] = [];
  const store = { ...createMemoryStore(), ...createBlobFiles(dir) };
  const journal = await journalOf(store, dimension);
  const session = await RoundSession.open(
    {
      store,
      clock: { now: () => 0 },
      signer: serverSigner,
      send: (id, frame) => void jobs.push(() => deliver(id, frame)),
      ejected: (id, code) => {
        throw new Error(`${id}: ${code}`);
      },
      changed: () => undefined,
    },
    config,
    rosterOf(names(n)),
  );
  const deliver = async (id: string, { name, signed }: SecaggFrame): Promise<void> => {
    const before = states.get(id);
    const step =
      before === undefined
        ? startClient({
            clientId: id,
            signer: identity(id),
            serverPublicKey: serverSigner.publicKey,
            roster: rosterOf(names(n)),
            config: signed,
            rng: systemRng,
          })
        : clientReduce(before, { kind: 'message', name: name as ServerMessageName, signed });
    states.set(id, step.state);
    await carryOut(id, step.effects);
  };
  const carryOut = async (id: string, effects: readonly ClientEffect[]): Promise<void> => {
    for (const effect of effects) {
      if (effect.kind === 'abort') throw new Error(`${id}: ${effect.code}: ${effect.reason}`);
      if (effect.kind === 'send') await receive(id, effect);
      if (effect.kind !== 'mask') continue;
      const step = clientReduce(states.get(id) as ClientState, { kind: 'masked', chunks: await upload(id) });
      states.set(id, step.state);
      await carryOut(id, step.effects);
    }
  };
  const receive = async (id: string, { name, signed }: Extract<ClientEffect, { kind: 'send' }>): Promise<void> => {
    const { round, attempt } = config;
    try {
      await session.receive(id, { round, attempt, name, signed });
    } catch (error) {
      // The sum is open as soon as enough have answered.
      if (name !== 'unmask' || errorCode(error) !== 'ROUND_CLOSED') throw error;
    }
  };
  const upload = async (clientId: string): Promise<string[]> => {
    const { round, attempt } = config;
    const random = systemRng.bytes(CHUNK_BYTES);
    const hashes: string[] = [];
    for (let at = 0; at < 4 * dimension; at += CHUNK_BYTES) {
      const bytes = random.subarray(0, Math.min(CHUNK_BYTES, 4 * dimension - at));
      hashes.push(await session.acceptChunk({ round, attempt, clientId, index: hashes.length, bytes }));
    }
    return hashes;
  };
  for (const id of names(n)) jobs.push(() => deliver(id, session.frameFor(id) as SecaggFrame));
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  const outcome = await session.outcome;
  if (outcome.kind !== 'summed' || outcome.survivors.length !== n) throw new Error(JSON.stringify(outcome));
  const opened = mostResident();
  await merge(journal, 0, outcome);
  console.log(JSON.stringify({ opened, held: mostResident() }));
} finally {
  await rm(dir, { recursive: true, force: true });
}
