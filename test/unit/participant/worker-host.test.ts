import { expect, test } from 'vitest';
import { WorkerHost } from '../../../client-browser/worker/host.ts';
import type { FromWorker } from '../../../client-browser/worker/messages.ts';
import { TacitError } from '../../../shared/core/errors.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { signerFromSeed } from '../../../shared/core/signing.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';

const never = () => Promise.reject(new Error('not asked for here'));

test('a withdrawal that no coordinator answers ends before what this browser keeps is deleted', async () => {
  const told: string[] = [];
  const happened: string[] = [];
  const host = new WorkerHost({
    post: (message: FromWorker) => told.push(message.kind),
    runParticipant: () => {
      throw new Error('nobody takes part here');
    },
    trainerOf: () => never,
    chooseEngine: never,
    openStore: async () => ({
      ...createMemoryStore(),
      close: async () => {
        happened.push('the store is closed');
      },
    }),
    openSite: async () => ({ signer: signerFromSeed(new Uint8Array(32)), sealed: false, clientId: '0'.repeat(32) }),
    changeKey: never,
    withdrawFrom: ({ signal }) =>
      new Promise((_, reject) => {
        happened.push('a session waits');
        signal.addEventListener('abort', () => {
          happened.push('the session ends');
          reject(new TacitError('CONNECTION_LOST', 'the coordinator did not take the withdrawal'));
        });
      }),
    openTransport: () => {
      throw new Error('nobody is called');
    },
    takeSeat: async () => () => happened.push('the seat is free'),
    deleteEverything: async () => {
      happened.push('all is deleted');
    },
    rng: seededRng('host'),
    clock: { now: () => 0 },
  });
  const withdrawing = host.receive({ kind: 'withdraw', link: 'https://example.org/#join=x' });
  await expect.poll(() => happened).toEqual(['a session waits']);
  await host.receive({ kind: 'forget' });
  await withdrawing;
  expect(happened).toEqual([
    'a session waits',
    'the session ends',
    'the store is closed',
    'the seat is free',
    'all is deleted',
  ]);
  expect(told.sort()).toEqual(['forgotten', 'withdrawal']);
});
