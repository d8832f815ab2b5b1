import '../lib/zod-jitless.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { localTrainer } from '../../shared/participant/local-trainer.ts';
import { runParticipant } from '../../shared/participant/session.ts';
import { openTransport } from '../../shared/participant/transport.ts';
import { withdrawFrom } from '../../shared/participant/withdrawal.ts';
import { DATABASES, deleteDatabase } from './database.ts';
import { chooseBrowserEngine } from './engines.ts';
import { WorkerHost } from './host.ts';
import { openIndexedDbStore } from './indexeddb-store.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { changeKey, openSite } from './site.ts';

function say(message: FromWorker): void {
  (globalThis as unknown as { postMessage(message: FromWorker): void }).postMessage(message);
}

const clock = { now: () => Date.now() };

/** Composition of the worker: the browser's storage, randomness and clock, and the shared session. */
const host = new WorkerHost({
  post: say,
  runParticipant,
  trainerOf: (engine) => localTrainer({ engine, rng: systemRng }),
  chooseEngine: chooseBrowserEngine,
  openStore: () => openIndexedDbStore(),
  openSite: (store) => openSite(store, systemRng, clock),
  changeKey: (store, reason) => changeKey(store, systemRng, clock, reason),
  withdrawFrom,
  openTransport,
  takeSeat,
  deleteEverything: async () => {
    await Promise.all(Object.values(DATABASES).map(deleteDatabase));
  },
  rng: systemRng,
  clock,
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
