import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RoundOutcome, RoundSession } from '../../../coordinator/rounds/round-session.ts';
import { TacitError } from '../../../shared/core/errors.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import type { SecaggFrame } from '../../../shared/protocol/messages.ts';
import { clientReduce, startClient } from '../../../shared/secagg/client.ts';
import type { ClientEffect, ClientState } from '../../../shared/secagg/client-state.ts';
import type { ServerMessageName, Signed } from '../../../shared/secagg/messages.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import type { Store, StoreErrorCode } from '../../../shared/store/port.ts';
import { chunkHashes, packed, underMasks } from '../../support/masked-vector.ts';
import { configOf, identity, names, noisedFor, rosterOf, serverSigner } from '../../support/secagg-session.ts';

/** The coordinator's side of uploads, with real clients and a store that a test may break. */

const n = 5;
const day = 86_400_000;
/** No deadline comes in a test. */
const deadlines = { advertiseMs: day, sharesMs: day, maskedMs: day, consistentMs: day, unmaskMs: day };
const config = { ...configOf({ n, dimension: 7, chunkBytes: 16 }), deadlines };
const five = names(n);
const [c1, c2, c3] = five as [string, string, string];
const { round, attempt } = config;

class Round {
  readonly store: Store;
  readonly uploads = new Map<string, Uint8Array[]>();
  readonly manifests = new Map<string, Signed>();
  /** Names of what the coordinator said. */
  readonly said = new Set<string>();
  readonly #clients = new Map<string, ClientState>();
  readonly #inboxes: (() => Promise<void>)[] = [];
  session!: RoundSession;

  constructor(store: Store = createMemoryStore()) {
    this.store = store;
  }

  async open(): Promise<this> {
    const send = (id: string, frame: SecaggFrame): void => {
      this.said.add(frame.name);
      this.#inboxes.push(() => this.#deliver(id, frame));
    };
    const ports = { clock: { now: () => 0 }, signer: serverSigner, ejected: () => {}, changed: () => {} };
    this.session = await RoundSession.open({ ...ports, store: this.store, send }, config, rosterOf(five));
    return this;
  }

  /** Everybody has its masked vector and its manifest; nothing was uploaded. */
  async masked(): Promise<this> {
    await this.open();
    for (const id of five) await this.#deliver(id, this.session.frameFor(id) as SecaggFrame);
    await this.drain();
    return this;
  }

  async drain(): Promise<void> {
    for (let job = this.#inboxes.shift(); job !== undefined; job = this.#inboxes.shift()) await job();
  }

  async #deliver(id: string, { name, signed }: SecaggFrame): Promise<void> {
    const before = this.#clients.get(id);
    const key = { clientId: id, signer: identity(id), serverPublicKey: serverSigner.publicKey };
    const step =
      before === undefined
        ? startClient({ ...key, roster: rosterOf(five), config: signed, rng: seededRng(id) })
        : clientReduce(before, { kind: 'message', name: name as ServerMessageName, signed });
    await this.#carryOut(id, step.state, step.effects);
  }

  async #carryOut(id: string, state: ClientState, effects: readonly ClientEffect[]): Promise<void> {
    this.#clients.set(id, state);
    for (const effect of effects) {
      if (effect.kind === 'send' && effect.name === 'masked') this.manifests.set(id, effect.signed);
      else if (effect.kind === 'send') await this.say(id, effect.name, effect.signed);
      if (effect.kind !== 'mask') continue;
      const words = await underMasks(await noisedFor(id, config.dimension, effect.noise), effect.streams);
      const bytes = packed(words, 32);
      this.uploads.set(id, [bytes.slice(0, 16), bytes.slice(16)]);
      const step = clientReduce(state, { kind: 'masked', chunks: chunkHashes(bytes, config.chunkBytes) });
      await this.#carryOut(id, step.state, step.effects);
    }
  }

  async say(id: string, name: SecaggFrame['name'], signed: Signed): Promise<void> {
    try {
      await this.session.receive(id, { round, attempt, name, signed });
    } catch (error) {
      // The sum is open as soon as enough have answered.
      if ((error as TacitError).code !== 'ROUND_CLOSED' || name !== 'unmask') throw error;
    }
  }

  put(clientId: string, index: number, bytes = this.uploads.get(clientId)?.[index] as Uint8Array): Promise<string> {
    return this.session.acceptChunk({ round, attempt, clientId, index, bytes });
  }

  async upload(id: string): Promise<void> {
    for (const index of [0, 1]) await this.put(id, index);
    await this.say(id, 'masked', this.manifests.get(id) as Signed);
  }

  async finish(ids: readonly string[] = five): Promise<RoundOutcome> {
    for (const id of ids) await this.upload(id);
    await this.drain();
    return this.session.outcome;
  }
}

const coded = (code: string) => expect.objectContaining({ code });
let round1: Round;
beforeEach(async () => {
  round1 = await new Round().masked();
});
afterEach(() => round1.session.cancel('RUN_STOPPED', 'the test is over'));

describe('what a client may put in the place of a chunk', () => {
  test('what the store has for another reason, the weights for one, is not deleted with the uploads', async () => {
    const weights = new Uint8Array(16).fill(7);
    const name = await round1.store.putBlob(weights);
    await round1.put(c1, 0, weights);
    round1.session.cancel('RUN_STOPPED', 'a test');
    await round1.session.deleteUploads();
    expect(await round1.store.getBlob(name)).toEqual(weights);
  });

  test('the same again is a retransmission; another one is refused and changes nothing', async () => {
    await round1.put(c1, 0);
    await round1.put(c1, 0);
    await expect(round1.put(c1, 0, new Uint8Array(16))).rejects.toEqual(coded('SECAGG_EQUIVOCATION'));
    const outcome = await round1.finish();
    expect(outcome).toMatchObject({ kind: 'summed', survivors: five });
  });

  test('two at the same time: the first one stands', async () => {
    const twice = await Promise.allSettled([round1.put(c1, 0), round1.put(c1, 0, new Uint8Array(16))]);
    expect(twice.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect((await round1.finish()).kind).toBe('summed');
  });

  test('nothing that is another client’s, of another length or at a place that there is not', async () => {
    await round1.upload(c1);
    await round1.put(c2, 1);
    // Its manifest lists what it has put itself; what c1 put under that hash does not count.
    await expect(round1.say(c2, 'masked', round1.manifests.get(c1) as Signed)).rejects.toEqual(
      coded('SECAGG_SIGNATURE'),
    );
    await expect(round1.say(c3, 'masked', round1.manifests.get(c3) as Signed)).rejects.toEqual(
      coded('MESSAGE_INVALID'),
    );
    for (const [index, length] of [
      [0, 12],
      [0, 17],
      [1, 16],
      [2, 16],
      [2, 0],
    ] as const)
      await expect(round1.put(c3, index, new Uint8Array(length))).rejects.toEqual(coded('MESSAGE_INVALID'));
    await expect(round1.put('stranger', 0, new Uint8Array(16))).rejects.toEqual(coded('ROUND_CLOSED'));
  });
});

test('whoever repeats itself, or has lost its seat, fills no disk', async () => {
  const stream = RoundSession.streamOf(config.run, round, attempt);
  await round1.upload(c1);
  const garbage = { body: { much: 'x'.repeat(10_000) }, signature: '' };
  await expect(round1.say(c3, 'consistent', garbage)).rejects.toEqual(coded('SECAGG_WRONG_PHASE'));
  const before = await round1.store.head(stream);
  for (let i = 0; i < 10; i++) {
    await round1.say(c1, 'masked', round1.manifests.get(c1) as Signed);
    await expect(round1.say(c3, 'consistent', garbage)).rejects.toEqual(coded('SECAGG_WRONG_PHASE'));
    round1.session.gone(c2);
    await expect(round1.say('stranger', 'advertise', garbage)).resolves.toBeUndefined();
  }
  await round1.put(c2, 0);
  // c2 went once, and one of its chunks came.
  expect(await round1.store.head(stream)).toBe(before + 2);
});

test('cancelled while an answer is written down: shares are asked for no more, as the end says that none were', async () => {
  const store = createMemoryStore();
  let answers = 0;
  const cut = new Round({
    ...store,
    append: async (stream, seq, event) => {
      const stored = await store.append(stream, seq, event);
      if (event.text.includes('"name":"consistent"') && ++answers === n) cut.session.cancel('RUN_STOPPED', 'a test');
      return stored;
    },
  });
  await cut.masked();
  const outcome = await cut.finish();
  expect(outcome).toMatchObject({ kind: 'aborted', code: 'RUN_STOPPED', revealed: false });
  expect(cut.said.has('survivors')).toBe(true);
  expect(cut.said.has('signatures')).toBe(false);
});

describe('over a restart', () => {
  test('what was uploaded is still there: nothing is sent twice, and the sum is the same', async () => {
    await round1.upload(c1);
    await round1.put(c2, 0);
    await round1.open();
    expect(round1.session.heldChunk({ round, attempt, clientId: c2, index: 0 })).toBeDefined();
    expect(round1.session.heldChunk({ round, attempt, clientId: c2, index: 1 })).toBeUndefined();
    await expect(round1.put(c2, 0, new Uint8Array(16))).rejects.toEqual(coded('SECAGG_EQUIVOCATION'));
    const outcome = await round1.finish(five.filter((id) => id !== c1));
    const whole = await (await new Round().masked()).finish();
    expect(outcome).toEqual(whole);
    expect(outcome.kind).toBe('summed');
  });
});

describe('a store that fails while an upload is added', () => {
  /** Fails to read the second chunk that is asked for. */
  function failing(): Store {
    const store = createMemoryStore();
    let reads = 0;
    return {
      ...store,
      getBlob: (...args) => {
        if (++reads === 2) throw new TacitError<StoreErrorCode>('STORE_BLOB_MISSING', 'the disk lost it');
        return store.getBlob(...args);
      },
    };
  }

  test('ends the round with its code: half an upload is in no sum', async () => {
    const broken = await new Round(failing()).masked();
    await broken.upload(c1);
    expect(await broken.session.outcome).toMatchObject({
      kind: 'aborted',
      code: 'STORE_BLOB_MISSING',
      revealed: false,
    });
    await expect(broken.put(c2, 0)).rejects.toEqual(coded('ROUND_CLOSED'));
    await expect(broken.say(c2, 'masked', broken.manifests.get(c2) as Signed)).rejects.toEqual(coded('ROUND_CLOSED'));
  });

  test('and so it does when it is found after a restart', async () => {
    await round1.upload(c1);
    const { store } = round1;
    const lost = await new Round({
      ...store,
      getBlob: async () => {
        throw new TacitError<StoreErrorCode>('STORE_BLOB_MISSING', 'the disk lost it');
      },
    }).open();
    expect(await lost.session.outcome).toMatchObject({ kind: 'aborted', code: 'STORE_BLOB_MISSING' });
  });
});
