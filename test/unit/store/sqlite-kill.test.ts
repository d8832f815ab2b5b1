import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { openSqliteStore } from '../../../shared/node/store/sqlite.ts';

const child = fileURLToPath(new URL('../../../dist/test/support/sqlite-appender.js', import.meta.url));

/** Runs the appender for a while, kills it with SIGKILL and returns what it had acknowledged. */
function appendUntilKilled(dir: string, writer: string, milliseconds: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, [child, dir, writer], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    running.stdout.on('data', (d) => {
      if (out === '') setTimeout(() => running.kill('SIGKILL'), milliseconds);
      out += d;
    });
    running.on('error', reject);
    running.on('close', () => resolve(out.split('\n').slice(0, -1)));
  });
}

it('every acknowledged row and blob is there after SIGKILL, without gaps, with two processes writing', async () => {
  expect(existsSync(child), 'run `npm run build` first').toBe(true);
  const dir = await mkdtemp(join(tmpdir(), 'tacit-kill-'));
  try {
    let acknowledged = 0;
    for (let kill = 0; kill < 5; kill++) {
      const both = await Promise.all([
        appendUntilKilled(dir, 'p', 60 + 50 * kill),
        appendUntilKilled(dir, 'q', 180 - 20 * kill),
      ]);
      const store = await openSqliteStore(dir);
      for (const line of both.flat()) {
        const [stream, seq, text, blob] = line.split(' ') as [string, string, string, string];
        expect((await store.read(stream, Number(seq), 1))[0]?.text).toBe(text);
        if (blob !== '') expect((await store.getBlob(blob)).length).toBe(text.length * 200);
        acknowledged++;
      }
      for (const stream of await store.streams('')) {
        const events = await store.read(stream);
        expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i));
      }
      await store.close();
    }
    expect(acknowledged).toBeGreaterThan(100);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
