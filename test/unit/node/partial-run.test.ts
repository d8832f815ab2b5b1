import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PartialRun } from '../../../shared/node/partial-run.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tacit-partial-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each(['', '{"identity":', '{"identity":7,"losses":[]}', '{"identity":"{}","losses":["x"]}', '[]'])(
  'a record that is %j is refused by its code',
  async (text) => {
    await writeFile(join(folder, 'run.json'), text);
    await expect(PartialRun.open(folder, {})).rejects.toMatchObject({ code: 'TRAINING_STATE_INVALID' });
  },
);

test('the same options go on, others are refused', async () => {
  await writeFile(join(folder, 'run.json'), JSON.stringify({ identity: JSON.stringify({ seed: 'a' }), losses: [1] }));
  await expect(PartialRun.open(folder, { seed: 'a' })).resolves.toMatchObject({ losses: [] });
  await expect(PartialRun.open(folder, { seed: 'b' })).rejects.toMatchObject({ code: 'TRAINING_STATE_INVALID' });
});
