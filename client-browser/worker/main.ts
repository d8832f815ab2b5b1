import '../lib/zod-jitless.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { localTrainer } from '../../shared/participant/local-trainer.ts';
import { runParticipant } from '../../shared/participant/session.ts';
import { openTransport } from '../../shared/participant/transport.ts';
import { DATABASES, deleteDatabase } from './database.ts';
import { chooseBrowserEngine } from './engines.ts';
import { WorkerHost } from './host.ts';
import { openIdentity } from './identity.ts';
import { openIndexedDbStore } from './indexeddb-store.ts';
import type { FromWorker, ToWorker } from './messages.ts';

function say(message: FromWorker): void {
  (globalThis as unknown as { postMessage(message: FromWorker): void }).postMessage(message);
}

/** Composition of the worker: the browser's storage, randomness and clock, and the shared session. */
const host = new WorkerHost({
  post: say,
  runParticipant,
  trainerOf: (engine) => localTrainer({ engine, rng: systemRng }),
  chooseEngine: chooseBrowserEngine,
  openStore: () => openIndexedDbStore(),
  openIdentity: () => openIdentity(systemRng),
  openTransport,
  takeSeat,
  deleteEverything: async () => {
    await Promise.all(Object.values(DATABASES).map(deleteDatabase));
  },
  rng: systemRng,
  clock: { now: () => Date.now() },
});

/** The page waits for this worker's lock, to learn of its death. Held until then. */
void (navigator.locks as LockManager | undefined)?.request((globalThis as unknown as { name: string }).name, () => {
  say({ kind: 'alive' });
  return new Promise<void>(() => {});
});

addEventListener('message', (event: MessageEvent<ToWorker>) => void host.receive(event.data));

/** One tab of a browser takes part: two would answer for one identity. Outside secure contexts there is no lock to take. */
function takeSeat(): Promise<(() => void) | undefined> {
  const locks = navigator.locks as LockManager | undefined;
  if (locks === undefined) return Promise.resolve(() => {});
  return new Promise((resolve) => {
    void locks.request('tacit-participant', { ifAvailable: true }, (lock) => {
      if (lock === null) {
        resolve(undefined);
        return;
      }
      return new Promise<void>((release) => resolve(() => release()));
    });
  });
}
