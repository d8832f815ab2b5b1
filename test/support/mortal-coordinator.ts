import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LABEL_BYTES } from '../../coordinator/rounds/round-session.ts';
import { LIMITS } from '../../shared/core/limits.ts';
import { openSqliteStore } from '../../shared/node/store/sqlite.ts';
import type { Store } from '../../shared/store/port.ts';
import { createTestRun, openTestBudget, startTestCoordinator } from './federation.ts';

/**
 * A coordinator process that kills itself with SIGKILL at a chosen instant of round 2:
 * `node mortal-coordinator.js DIR PORT [INSTANT]`. The store is the real one; the wrapper only watches what is appended.
 */
const [dir, port, instant] = process.argv.slice(2) as [string, string, string | undefined];

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('unreachable');
}

/** Instants: what is appended, and whether death comes before or after it is durable. */
const INSTANTS: Readonly<
  Record<string, { when: 'before' | 'after'; matches: (stream: string, text: string) => boolean }>
> = {
  train: {
    when: 'after',
    matches: (s, t) => s.startsWith('run/') && t.includes('"type":"roundStarted"') && t.includes('"round":2,'),
  },
  advertise: { when: 'after', matches: message('advertise') },
  shares: { when: 'after', matches: message('shares') },
  consistent: { when: 'after', matches: message('consistent') },
  unmask: { when: 'after', matches: message('unmask') },
  manifest: { when: 'after', matches: (s, t) => inRound2(s) && t.includes('"kind":"uploaded"') },
  'before-ledger': {
    when: 'before',
    matches: (s, t) => s === 'ledger' && t.includes('"kind":"round.release"') && t.includes('"round":2,'),
  },
  'after-ledger': {
    when: 'after',
    matches: (s, t) => s === 'ledger' && t.includes('"kind":"round.release"') && t.includes('"round":2,'),
  },
  'before-close': { when: 'before', matches: (s, t) => s === 'ledger' && t.includes('"kind":"plan.close"') },
  'after-close': { when: 'after', matches: (s, t) => s === 'ledger' && t.includes('"kind":"plan.close"') },
};

function inRound2(stream: string): boolean {
  return /^round\/.*\/2\.1$/.test(stream);
}

/** The second message of its kind: somebody was heard, somebody was not. */
function message(name: string) {
  let heard = 0;
  return (stream: string, text: string): boolean =>
    inRound2(stream) && text.includes(`"name":"${name}"`) && ++heard === 2;
}

function mortal(store: Store): Store {
  let uploads = 0;
  let wholeChunks = 0;
  const point = instant === undefined ? undefined : INSTANTS[instant];
  return {
    append: async (stream, seq, event) => {
      const hit = point?.matches(stream, event.text) ?? false;
      if (hit && point?.when === 'before') die();
      const stored = await store.append(stream, seq, event);
      if (hit) die();
      return stored;
    },
    // The third chunk of round 2 (each client has one): in the middle of the uploads.
    putBlob: async (bytes) => {
      const sha256 = await store.putBlob(bytes);
      if (instant === 'upload' && bytes.length === uploadBytes + LABEL_BYTES && ++uploads === 5 + 3) die();
      // Each client has four whole chunks and a shorter one: the seventh of round 2 is inside somebody's upload.
      if (
        instant === 'inside an upload' &&
        bytes.length === LIMITS.chunkBytes + LABEL_BYTES &&
        ++wholeChunks === 5 * 4 + 7
      )
        die();
      return sha256;
    },
    read: (...args) => store.read(...args),
    head: (stream) => store.head(stream),
    streams: (prefix) => store.streams(prefix),
    getBlob: (...args) => store.getBlob(...args),
    blobSize: (sha256) => store.blobSize(sha256),
    deleteBlob: (sha256) => store.deleteBlob(sha256),
    close: () => store.close(),
  };
}

let uploadBytes = Number.NaN;
const store = await openSqliteStore(join(dir, 'store'));
const url = `http://127.0.0.1:${port}`;
const site = await startTestCoordinator({ store: mortal(store), port: Number(port), publicUrl: url });
const known = join(dir, 'run.json');
if (!existsSync(known)) {
  await openTestBudget(site.coordinator, 3);
  const train = instant === 'inside an upload' ? 'all' : 'head';
  const run = await createTestRun(site.coordinator, { rounds: 3, every: 1, phase: '20s', train });
  writeFileSync(known, JSON.stringify(run));
}
const { id } = JSON.parse(readFileSync(known, 'utf8')) as { id: string };
uploadBytes = 4 * (site.coordinator.run(id)?.stages[0]?.updateElements ?? Number.NaN);
console.log('ready');
