import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RoundSession } from '../../coordinator/rounds/round-session.ts';
import { errorCode } from '../../shared/core/errors.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { useOpensslCrypto } from '../../shared/node/native-crypto.ts';
import { createBlobFiles } from '../../shared/node/store/blob-files.ts';
import type { SecaggFrame } from '../../shared/protocol/messages.ts';
import { clientReduce, startClient } from '../../shared/secagg/client.ts';
import type { ClientEffect, ClientState } from '../../shared/secagg/client-state.ts';
import type { ServerMessageName } from '../../shared/secagg/messages.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import { configOf, identity, names, rosterOf, serverSigner } from '../../test/support/secagg-session.ts';
import { CHUNK_BYTES } from './client-round.ts';
import { mostResident } from './most-resident.ts';

/**
 * A process of its own: a whole session of the coordinator, with uploads in durable files, to the opened sum; prints the
 * most memory that it ever held. Clients are real but for their vectors: the chunks of one are alike and random, which
 * no step can tell, and the sum is nobody's.
 */
const [dimension, n] = process.argv.slice(2).map(Number) as [number, number];
useOpensslCrypto();
const dir = await mkdtemp(join(tmpdir(), 'tacit-bench-'));
try {
  const day = 86_400_000;
  const deadlines = { advertiseMs: day, sharesMs: day, maskedMs: day, consistentMs: day, unmaskMs: day };
  const config = { ...configOf({ n, minimumCohort: n, dimension, chunkBytes: CHUNK_BYTES }), deadlines };
  const states = new Map<string, ClientState>();
  const jobs: (() => Promise<void>)[] = [];
  const store = { ...createMemoryStore(), ...createBlobFiles(dir) };
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
  console.log(JSON.stringify({ held: mostResident() }));
} finally {
  await rm(dir, { recursive: true, force: true });
}
