import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const dir = mkdtempSync(join(tmpdir(), 'conformance-'));
afterAll(() => rmSync(dir, { recursive: true }));

function run(runner: string, path: string): Promise<{ code: number; out: string }> {
  return new Promise((resolve) =>
    execFile('node', [`dist/test/conformance/${runner}.js`, path], (error, stdout, stderr) =>
      resolve({ code: (error?.code as number | undefined) ?? 0, out: stdout + stderr }),
    ),
  );
}

test('a runner counts what holds, names what does not, and says what it cannot read', async () => {
  const good = await run('aggregation', 'test/vectors/aggregation.json');
  expect(good).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+ passed, 0 failed /m) });

  const changed = join(dir, 'changed.json');
  const vectors = JSON.parse(readFileSync('test/vectors/aggregation.json', 'utf8'));
  vectors.robust.mean[0] += 1e-6;
  writeFileSync(changed, JSON.stringify(vectors));
  const wrong = await run('aggregation', changed);
  expect(wrong).toMatchObject({ code: 1, out: expect.stringMatching(/^FAILED .* mean$/m) });

  const other = join(dir, 'other.json');
  writeFileSync(other, '{"tolerance": 1}');
  expect(await run('accounting', other)).toMatchObject({ code: 1, out: expect.stringContaining('nothing in') });

  for (const path of [join(dir, 'missing.json'), dir])
    expect(await run('tlog', path)).toMatchObject({
      code: 2,
      out: expect.stringContaining(`${path} cannot be checked`),
    });
});

test('a directory of cases is checked case by case, and one that is refused is named', async () => {
  const { code, out } = await run('bert', 'test/vectors/bert-variants');
  const lines = out.trim().split('\n');
  expect(code).toBe(1);
  expect(lines.at(-1)).toMatch(/^\d{4} passed, 1 failed /);
  expect(lines.filter((line) => line.startsWith('FAILED'))).toEqual([
    expect.stringMatching(/lora-embeddings: the tensor \S+lora_embedding_A is of no module that can be adapted here$/),
  ]);
  expect(lines.some((line) => /^\S+ of \S+ {2}lora-stabilised: logits$/.test(line))).toBe(true);
});
