import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MongoClient } from 'mongodb';

export type MongoForTests = { readonly uri: string; stop(): Promise<void> } | { readonly skip: string };

const script = new URL('./ferretdb.sh', import.meta.url);

/**
 * A MongoDB-compatible server with a database of its own: the one of TACIT_TEST_MONGODB_URI, or FerretDB built by
 * test/support/ferretdb.sh (needs Go ≥ 1.24; two minutes the first time), or the reason why there is none.
 * `TACIT_TEST_MONGODB_URI=none` skips on purpose.
 */
export async function mongoForTests(): Promise<MongoForTests> {
  const database = `tacit_test_${process.pid}_${Date.now().toString(36)}`;
  const given = process.env.TACIT_TEST_MONGODB_URI;
  if (given === 'none') return { skip: 'TACIT_TEST_MONGODB_URI=none' };
  if (given !== undefined && given !== '') {
    const uri = withDatabase(given, database);
    return { uri, stop: () => drop(uri) };
  }
  const missing = await whyNoServer();
  if (missing !== undefined)
    return { skip: `no MongoDB: set TACIT_TEST_MONGODB_URI, or install Go ≥ 1.24 to build FerretDB (${missing})` };
  const dir = await mkdtemp(join(tmpdir(), 'tacit-ferretdb-'));
  try {
    const uri = await start(await freePort(), dir);
    return { uri: withDatabase(uri, database), stop: () => stop(dir) };
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    return { skip: `FerretDB could not be built or started: ${(error as Error).message.trim().split('\n').at(-1)}` };
  }
}

async function whyNoServer(): Promise<string | undefined> {
  if (process.platform === 'win32') return 'the script needs a POSIX shell';
  const version = await promisify(execFile)('go', ['env', 'GOVERSION']).then(
    (r) => /^go(\d+)\.(\d+)/.exec(r.stdout),
    () => null,
  );
  if (version === null) return 'go is not on the PATH';
  const [major, minor] = [Number(version[1]), Number(version[2])];
  return major > 1 || minor >= 24 ? undefined : `go is ${version[0]}`;
}

function start(port: number, dir: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', [script.pathname, String(port), dir], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.on('data', (d) => {
      out += d;
    });
    child.stderr.on('data', (d) => {
      err += d;
    });
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve(out.trim()) : reject(new Error(err || `exit code ${code}`))));
  });
}

async function stop(dir: string): Promise<void> {
  const pid = Number(await readFile(join(dir, 'ferretdb.pid'), 'utf8'));
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
  await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** On a server that stays, nothing of the tests stays. */
async function drop(uri: string): Promise<void> {
  const client = new MongoClient(uri);
  await client.db().dropDatabase();
  await client.close();
}

function withDatabase(uri: string, database: string): string {
  const [, head, query] = /^(mongodb(?:\+srv)?:\/\/[^/?]+)(?:\/[^?]*)?(\?.*)?$/.exec(uri) ?? [];
  return `${head}/${database}${query ?? ''}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
