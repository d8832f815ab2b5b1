import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { main } from '../../coordinator/cli.ts';
import { readPlanFile } from '../../coordinator/runs/plan-file.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { labelsOf } from '../../shared/protocol/plan.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tacit-data-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** In this process: what it prints as one JSON object, or the error that it says. */
async function tacit(...args: string[]): Promise<{ code: number; json: Record<string, unknown>; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const written = vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  const said = vi.spyOn(process.stderr, 'write').mockImplementation((text) => err.push(String(text)) > 0);
  try {
    const code = await main(args);
    return { code, json: JSON.parse(out[0] ?? '{}') as Record<string, unknown>, err: err.join('') };
  } finally {
    written.mockRestore();
    said.mockRestore();
  }
}

const plans = join(packageRoot, 'plans');
const examples = (await readdir(join(plans, 'examples'))).map((name) => join('examples', name));

describe.each([...examples, 'head.yaml', 'quickstart.yaml'])('plans/%s', (name) => {
  it('is a plan whose noise can be computed, and reads the data that it describes', async () => {
    const plan = join(plans, name);
    const { code, json } = await tacit('plan', plan, '--json');
    expect(code).toBe(0);
    expect((json['guarantees'] as { epsilon: number }[])[1]?.epsilon).toBeLessThanOrEqual(3);
    const { task, privacy } = (await readPlanFile(plan)).plan;
    if (task.kind === 'pretraining') throw new Error('none of these plans pretrains');
    const texts = typeof task.text === 'string' ? [task.text] : task.text;
    const label = task.kind === 'regression' ? '0.5' : (labelsOf({ task })[0] as string);
    const person = privacy.unit === 'person' ? { [privacy.column]: 'somebody' } : {};
    const row = { ...Object.fromEntries(texts.map((t) => [t, `some words in ${t}`])), [task.label]: label, ...person };
    const file = join(dir, `${name.replace('/', '-')}.jsonl`);
    await writeFile(file, `${JSON.stringify(row)}\n${JSON.stringify({ ...row, [task.label]: 'no such label' })}\n`);
    const checked = await tacit('data', 'check', file, '--plan', plan, '--json');
    expect(checked.json).toMatchObject({
      kept: 1,
      dropped: [{ reason: 'unknown-label', count: 1, examples: [{ line: 2 }] }],
      persons: privacy.unit === 'person' ? 1 : 0,
    });
  });
});

describe('tacit data split', () => {
  const plan = join(plans, 'examples', 'support-tickets.yaml');
  const ticket = (n: number, body: string, customer: string, teams = 'billing') => ({
    subject: `ticket ${n}`,
    body,
    teams,
    customer,
  });
  const words = (n: number): string =>
    Array.from({ length: 30 }, (_, i) => `word${(n * 7919 + i * i * 31) % 100_003}`).join(' ');
  const linesOf = async (split: string, set: string) =>
    (await readFile(join(dir, split, `${set}.jsonl`), 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { subject: string; customer: string; teams: string });

  it('leaves repeated texts out, keeps a person on one side, and writes what the plan reads again', async () => {
    const rows = Array.from({ length: 120 }, (_, n) =>
      ticket(n, words(n), `customer-${n % 40}`, n % 3 === 0 ? 'billing;returns' : 'technical'),
    );
    rows.push(ticket(7, words(7), 'customer-7', 'delivery'));
    await writeFile(join(dir, 'tickets.jsonl'), rows.map((r) => `${JSON.stringify(r)}\n`).join(''));
    const args = ['data', 'split', join(dir, 'tickets.jsonl'), '--plan', plan, '--held-out', '0.2', '--json'];
    const { code, json } = await tacit(...args, '--out', join(dir, 'split'));
    expect([code, json['duplicates'], json['conflicts']]).toEqual([0, 1, 1]);
    const sets = await Promise.all(['train', 'validation', 'test'].map((set) => linesOf('split', set)));
    const sizes = sets.map((s) => s.length);
    expect(sizes.reduce((a, b) => a + b)).toBe(120);
    expect(sizes[1]).toBeGreaterThan(10);
    expect(sizes[2]).toBeGreaterThan(10);
    const customers = sets.map((s) => new Set(s.map((r) => r.customer)));
    for (const [a, b] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const)
      expect([...(customers[a] as Set<string>)].filter((c) => customers[b]?.has(c))).toEqual([]);
    const again = await tacit('data', 'check', join(dir, 'split', 'train.jsonl'), '--plan', plan, '--json');
    expect(again.json).toMatchObject({ kept: sizes[0], dropped: [] });
    await tacit(...args, '--out', join(dir, 'same'));
    expect(await linesOf('same', 'test')).toEqual(sets[2]);
    await tacit(...args, '--seed', 'other', '--out', join(dir, 'other'));
    expect(await linesOf('other', 'test')).not.toEqual(sets[2]);
  });

  it('writes labels as the files have them, also where the plan renames them into one another', async () => {
    const text = await readFile(join(plans, 'head.yaml'), 'utf8');
    const renaming = 'labels: ["1", "2"], labelValues: { "0": "1", "1": "2" }';
    const file = join(dir, 'renamed.yaml');
    await writeFile(file, text.replace('labels: [ham, spam]', renaming));
    const rows = Array.from({ length: 60 }, (_, n) => ({ text: words(n), label: `${n % 2}` }));
    await writeFile(join(dir, 'renamed.jsonl'), rows.map((r) => `${JSON.stringify(r)}\n`).join(''));
    const args = ['data', 'split', join(dir, 'renamed.jsonl'), '--plan', file, '--json', '--out', join(dir, 'renamed')];
    expect((await tacit(...args)).code).toBe(0);
    const sets = await Promise.all(
      ['train', 'validation', 'test'].map((set) => readFile(join(dir, 'renamed', `${set}.jsonl`), 'utf8')),
    );
    const written = sets
      .join('')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { text: string; label: string });
    expect(new Map(written.map((r) => [r.text, r.label]))).toEqual(new Map(rows.map((r) => [r.text, r.label])));
  });

  it('says what is wrong', async () => {
    const file = join(dir, 'tickets.jsonl');
    const out = ['--out', join(dir, 'never')];
    expect(await tacit('data', 'split', file, '--plan', plan, '--held-out', '0.5', ...out)).toMatchObject({
      code: 2,
      err: 'USAGE: "0.5" is not a part between 0 and 0.5 (--held-out).\n',
    });
    const other = join(plans, 'head.yaml');
    const wrong = await tacit('data', 'split', file, '--plan', other, ...out);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('DATA_COLUMNS: no column text, label') });
  });
});
