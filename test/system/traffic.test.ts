import { createConnection, createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readModelFiles } from '../../coordinator/models/model-files.ts';
import type { RoundEvent } from '../../coordinator/rounds/round-events.ts';
import { LABEL_BYTES } from '../../coordinator/rounds/round-session.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { prepareMail } from '../../shared/node/datasets/spam-assassin.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { localTrainer } from '../../shared/participant/local-trainer.ts';
import type { TrainerFactory } from '../../shared/participant/trainer.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import type { Store } from '../../shared/store/port.ts';
import { bytesToFloat32 } from '../../shared/tensor/float32.ts';
import type { TextRecord } from '../../shared/text/record.ts';
import {
  createTestRun,
  openTestBudget,
  startParticipant,
  startTestCoordinator,
  type TestCoordinator,
  type TestParticipant,
  until,
} from '../support/federation.ts';

/**
 * One run of real mail with everything that crosses the wire recorded by a proxy between participants and coordinator,
 * and everything that the coordinator was told kept beside what the participants really computed.
 */
const rounds = 12;
const perClient = 40;
const recorded: Buffer[] = [];
/** True clipped sums, one a client and round, as the trainers computed them. */
const sums: { readonly stage: number; readonly sum: Float32Array }[][] = [[], [], [], [], []];
const mails: TextRecord[] = [];
let store: Store;
let site: TestCoordinator;
let runId: string;
let participants: TestParticipant[] = [];
let proxy: ReturnType<typeof createServer>;

beforeAll(async () => {
  // Nothing is deleted, so that the uploads can be looked at afterwards.
  store = { ...createMemoryStore(), deleteBlob: () => Promise.resolve() };
  const port = await startProxy(() => Number(new URL(site.url).port));
  site = await startTestCoordinator({ store, publicUrl: `http://127.0.0.1:${port}` });
  await openTestBudget(site.coordinator, 3);
  const run = await createTestRun(site.coordinator, {
    rounds,
    every: 100,
    server: '{ optimizer: sgd, learningRate: 1 }',
  });
  runId = run.id;
  const { silos } = await prepareMail();
  participants = silos.map(({ records }, i) => {
    const texts = records.slice(0, perClient);
    mails.push(...texts);
    return startParticipant({ link: run.link, index: i + 1, texts, createTrainer: watched(i) });
  });
  await until(() => site.coordinator.run(runId)?.state === 'finished', 'the run to finish', 110_000);
  await Promise.all(participants.map((p) => p.ended));
}, 240_000);

afterAll(async () => {
  for (const p of participants) p.stop();
  await site.close();
  proxy.close();
});

test('no 12-byte window of any private mail crosses the wire', async () => {
  const wire = Buffer.concat(recorded);
  expect(wire.length).toBeGreaterThan(1_000_000);
  const windows = new Windows();
  for (const { text } of mails) windows.add(Buffer.from(text, 'utf8'));
  // What is public goes over the wire too: the model's vocabulary and the words of HTTP. Those windows tell nothing of a mail.
  for (const bytes of (await readModelFiles('models/tacit-mini')).values()) windows.remove(Buffer.from(bytes));
  // So are the plan and its guarantees, written before anyone had joined.
  windows.remove(Buffer.from(`${httpWords} ${JSON.stringify(await firstEvent())}`));
  expect([...windows.foundIn(wire)]).toEqual([]);
  // It is seen where it is.
  const [mail] = mails as [TextRecord];
  const leak = Buffer.concat([wire.subarray(0, 999), Buffer.from(mail.text, 'utf8')]);
  expect(windows.foundIn(leak).size).toBeGreaterThan(0);
});

test('each masked upload is indistinguishable from uniform bytes', async () => {
  const all = await uploads();
  expect(all).toHaveLength(5 * rounds);
  for (const bytes of all) {
    const counts = new Array<number>(256).fill(0);
    for (const b of bytes) counts[b] = (counts[b] as number) + 1;
    const expected = bytes.length / 256;
    const chi2 = counts.reduce((s, c) => s + (c - expected) ** 2 / expected, 0);
    // 255 degrees of freedom: P(chi2 > 370) < 3e-6, P(chi2 < 165) < 1e-6.
    expect(chi2).toBeGreaterThan(165);
    expect(chi2).toBeLessThan(370);
  }
});

test('the unmasked sum is the true clipped sum plus noise of the committed size', async () => {
  const record = await runEvents();
  const stage = site.coordinator.run(runId)?.stages[0];
  const l2Clip = stage?.l2Clip as number;
  const batch = 5 * perClient;
  const noise: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const before = await vector(record[round] as string);
    const after = await vector(record[round + 1] as string);
    for (let i = 0; i < before.length; i++) {
      // w1 = w0 − 1·sum/(B·C): the sum as the server saw it.
      const seen = ((before[i] as number) - (after[i] as number)) * batch * l2Clip;
      const truth = sums.reduce((s, client) => s + (client[round]?.sum[i] as number), 0);
      noise.push(seen - truth);
    }
  }
  const n = noise.length;
  const mean = noise.reduce((a, b) => a + b, 0) / n;
  const sigma = Math.sqrt(noise.reduce((a, b) => a + (b - mean) ** 2, 0) / n);
  const { stages, plan } = (await firstEvent()).terms;
  const [terms] = stages;
  const { minimumCohort, colluders } = plan.secureAggregation;
  // Nobody drops: what a sum of fewer would have needed is taken away again.
  const variance = (terms.localSigma ** 2 * (minimumCohort - colluders) * 5) / (5 - colluders);
  const expected = Math.sqrt(variance) / terms.scale;
  expect(Math.abs(mean)).toBeLessThan((5 * expected) / Math.sqrt(n));
  // Relative standard error of σ is 1/√(2n) = 0.7 %.
  expect(Math.abs(sigma / expected - 1)).toBeLessThan(0.04);
  expect(expected).toBeGreaterThan((stage?.noiseMultiplier as number) * l2Clip);
});

test('an update takes four bytes a number', () => {
  const numbers = site.coordinator.run(runId)?.stages[0]?.updateElements as number;
  for (const round of site.coordinator.rounds(runId)) expect(round.bytesUpPerClient).toBe(4 * numbers);
});

const httpWords =
  'content-type: application/octet-stream application/json content-length: connection: keep-alive Keep-Alive accept-language: accept-encoding: cache-control: transfer-encoding: chunked organisation';

/** 12-byte windows. A table of bits says of most bytes, without a string being made, that they are none of them. */
class Windows {
  readonly #set = new Set<string>();
  readonly #perhaps = new Uint8Array(1 << 24);

  add(bytes: Buffer): void {
    for (let at = 0; at + 12 <= bytes.length; at++) {
      this.#set.add(bytes.toString('latin1', at, at + 12));
      this.#perhaps[hashAt(bytes, at)] = 1;
    }
  }

  remove(bytes: Buffer): void {
    for (const window of this.foundIn(bytes)) this.#set.delete(window);
  }

  foundIn(bytes: Buffer): Set<string> {
    const found = new Set<string>();
    for (let at = 0; at + 12 <= bytes.length; at++) {
      if (this.#perhaps[hashAt(bytes, at)] === 0) continue;
      const window = bytes.toString('latin1', at, at + 12);
      if (this.#set.has(window)) found.add(window);
    }
    return found;
  }
}

function hashAt(bytes: Buffer, at: number): number {
  const a = Math.imul(bytes.readInt32LE(at), 0x9e3779b1);
  const b = Math.imul(bytes.readInt32LE(at + 4) ^ (a >>> 15), 0x85ebca6b);
  const c = Math.imul(bytes.readInt32LE(at + 8) ^ (b >>> 13), 0xc2b2ae35);
  return (c ^ (c >>> 16)) >>> 8;
}

function watched(index: number): TrainerFactory {
  const factory = localTrainer({ engine: onnxCpuEngine(), rng: systemRng });
  return async (...args) => {
    const trainer = await factory(...args);
    return {
      update: async (request) => {
        const trained = await trainer.update(request);
        (sums[index] as { stage: number; sum: Float32Array }[]).push({
          stage: request.stage,
          sum: trained.sum.slice(),
        });
        return trained;
      },
      dispose: () => trainer.dispose(),
    };
  };
}

/** Bytes of every masked upload, each of one chunk, by the signed manifests. */
async function uploads(): Promise<Uint8Array[]> {
  const out: Uint8Array[] = [];
  for (const stream of await store.streams(`round/${runId}/`)) {
    const kept = new Map<string, string>();
    for (const { text } of await store.read(stream)) {
      const entry = JSON.parse(text) as RoundEvent;
      if (entry.type === 'chunk') kept.set(entry.sha256, entry.blob);
      if (entry.type !== 'event' || entry.event.kind !== 'uploaded') continue;
      const { body } = entry.event.manifest as { body: { chunks: string[] } };
      for (const sha256 of body.chunks) {
        const bytes = (await store.getBlob(kept.get(sha256) as string)).subarray(LABEL_BYTES);
        expect(sha256Hex(bytes)).toBe(sha256);
        out.push(bytes);
      }
    }
  }
  return out;
}

interface FirstEvent {
  readonly terms: {
    readonly stages: [{ readonly localSigma: number; readonly scale: number }];
    readonly plan: { readonly secureAggregation: { readonly minimumCohort: number; readonly colluders: number } };
  };
}

async function firstEvent(): Promise<FirstEvent> {
  const [event] = await store.read(`run/${runId}`, 0, 1);
  return JSON.parse(event?.text as string);
}

/** The iterates, the first one included. */
async function runEvents(): Promise<string[]> {
  const events = (await store.read(`run/${runId}`)).map(
    (e) => JSON.parse(e.text) as { type: string; model: { iterate: string } },
  );
  return events.filter((e) => e.type === 'stageStarted' || e.type === 'released').map((e) => e.model.iterate);
}

async function vector(sha256: string): Promise<Float32Array> {
  const bytes = await store.getBlob(sha256);
  return bytesToFloat32(bytes, bytes.length / 4);
}

function startProxy(target: () => number): Promise<number> {
  proxy = createServer((from: Socket) => {
    const to = createConnection(target(), '127.0.0.1');
    for (const [a, b] of [
      [from, to],
      [to, from],
    ] as const) {
      a.on('data', (data: Buffer) => {
        recorded.push(data);
        b.write(data);
      });
      a.on('close', () => b.destroy());
      a.on('error', () => b.destroy());
    }
  });
  return new Promise((resolve) =>
    proxy.listen(0, '127.0.0.1', () => resolve((proxy.address() as { port: number }).port)),
  );
}
