import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readModelDirectory } from '../../shared/bert/directory.ts';
import { seededRng, uniformInt } from '../../shared/core/rng.ts';
import { readDirectoryFiles } from '../../shared/node/directory-files.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { learningRateAt } from '../../shared/training/schedules.ts';

const dir = mkdtempSync(join(tmpdir(), 'tacit-train-'));
const path = (name: string): string => join(dir, name);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const topics = {
  World: 'war president country minister iraq election',
  Sports: 'game team season coach league cup',
  Business: 'stock market oil profit shares bank',
  'Sci/Tech': 'software microsoft space internet computer chip',
};
const names = Object.keys(topics) as (keyof typeof topics)[];
const rng = seededRng('topics');
const words = (topic: keyof typeof topics, count: number): string => {
  const all = topics[topic].split(' ');
  return Array.from({ length: count }, () => all[uniformInt(rng, all.length)]).join(' ');
};

beforeAll(() => {
  const news = Array.from({ length: 240 }, () => {
    const c = uniformInt(rng, 4);
    return `"${c + 1}","${words(names[c] as keyof typeof topics, 3)}","said, on ${words(names[c] as keyof typeof topics, 6)}"`;
  });
  writeFileSync(path('news.csv'), `class,title,description\n${news.join('\n')}\n`);
  const tagged = Array.from({ length: 120 }, (_, i) => {
    const own = names.filter(() => uniformInt(rng, 2) === 1);
    const text = own.map((topic) => words(topic, 4)).join(' ');
    return JSON.stringify({ text: `the ${text}`, label: own, who: `p${i % 30}` });
  });
  writeFileSync(path('tagged.jsonl'), tagged.join('\n'));
  const rated = Array.from({ length: 120 }, () => {
    const good = uniformInt(rng, 6);
    return `${'good '.repeat(good)}${'bad '.repeat(5 - good)},${good / 5}`;
  });
  writeFileSync(path('rated.csv'), `text,label\n${rated.join('\n')}\n`);
});

interface Ended {
  readonly code: number | null;
  readonly events: readonly Record<string, unknown>[];
  readonly error: string;
}

/** Runs `tacit train … --json`; with `interruptAfter`, sends Ctrl-C once that many steps were reported. */
function train(args: readonly string[], interruptAfter = Number.POSITIVE_INFINITY): Promise<Ended> {
  const flags = ['train', '--model', join(packageRoot, 'models/tacit-mini'), ...args, '--json'];
  const child = spawn(process.execPath, [join(packageRoot, 'bin/tacit.js'), ...flags]);
  let out = '';
  let error = '';
  child.stderr.on('data', (chunk) => {
    error += String(chunk);
  });
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
    if (out.split('"event":"step"').length > interruptAfter) child.kill('SIGINT');
  });
  return new Promise((resolve) => {
    child.on('close', (code) => {
      const events = out
        .split('\n')
        .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Record<string, unknown>]));
      resolve({ code, events, error });
    });
  });
}

const last = ({ events }: Ended) =>
  events.at(-1) as { event: string; metrics: Record<string, number>; privacy?: object };
const losses = ({ events }: Ended) => events.filter((e) => e['event'] === 'step').map((e) => [e['step'], e['loss']]);

describe('tacit train', { timeout: 300_000 }, () => {
  test('four classes out of class,title,description', async () => {
    const mapped = ['--label-values', '1=World,2=Sports,3=Business,4=Sci/Tech', '--labels', names.join()];
    const columns = ['--data', path('news.csv'), '--text', 'title,description', '--label', 'class', ...mapped];
    const run = await train([...columns, '--epochs', '6', '--out', path('news')]);
    expect(run).toMatchObject({ code: 0, error: '' });
    expect(last(run).metrics['accuracy']).toBeGreaterThan(0.9);
    const { config, weights } = readModelDirectory(await readDirectoryFiles(path('news'), 2 ** 30));
    expect(config.labelNames).toEqual(names);
    expect(config.raw['problem_type']).toBe('single_label_classification');
    expect(weights.get('classifier.weight')?.shape).toEqual([4, 512]);
    expect(JSON.parse(readFileSync(path('news/training.json'), 'utf8'))).toMatchObject({ trained: 216, held: 24 });
  });

  test('rates rise and fall as asked, large batches are accumulated, and it stops when nothing gets better', async () => {
    const columns = ['--data', path('news.csv'), '--text', 'title,description', '--label', 'class'];
    const rates = ['--schedule', 'cosine', '--warmup', '0.25', '--learning-rate', '0.02', '--optimizer', 'sgd'];
    const whole = await train([...columns, ...rates, '--batch-size', '54', '--epochs', '4', '--out', path('rates')]);
    expect(whole).toMatchObject({ code: 0, error: '' });
    const steps = whole.events.filter((e) => e['event'] === 'step');
    const schedule = { kind: 'cosine', learningRate: 0.02, warmupSteps: 4, totalSteps: 16 } as const;
    expect(steps.map((e) => e['learningRate'])).toEqual(steps.map((_, i) => learningRateAt(schedule, i)));
    // 216 records in batches of 54, over micro-batches of 16 rows.
    expect(steps.map((e) => e['examples'])).toEqual(new Array(16).fill(54));
    expect(steps.every((e, i) => i === 0 || typeof e['etaSeconds'] === 'number')).toBe(true);
    // At so large a rate steps soon make it worse.
    const wild = ['--schedule', 'constant', '--warmup', '0', '--learning-rate', '1000', '--optimizer', 'sgd'];
    const stop = ['--every', '1', '--early-stopping', '2', '--epochs', '9', '--gradient-norm', '1'];
    const stopped = await train([...columns, ...wild, ...stop, '--out', path('stopped')]);
    expect(stopped).toMatchObject({ code: 0, error: '' });
    const taken = losses(stopped).length;
    expect(taken).toBeLessThan(9 * 7);
    expect(stopped.events.at(-1)).toMatchObject({ event: 'trained', bestStep: taken - 2 });
  });

  test('several labels, privately, with persons as units', async () => {
    const data = ['--data', path('tagged.jsonl'), '--task', 'multi-label', '--labels', names.join(), '--person', 'who'];
    const promise = ['--epsilon', '8', '--delta', '0.001', '--clip', '0.5', '--batch-size', '9', '--epochs', '4'];
    const run = await train([...data, ...promise, '--out', path('tagged')]);
    expect(run).toMatchObject({ code: 0, error: '' });
    expect(last(run).privacy).toMatchObject({ epsilon: 8, unit: 'person', steps: 12, repeatable: false });
    const unknown = await train([
      ...data.filter((a) => a !== '--labels' && a !== names.join()),
      ...promise,
      '--out',
      path('x'),
    ]);
    expect(unknown).toMatchObject({ code: 2, error: expect.stringContaining('USAGE') });
  });

  test('a number, with LoRA; Ctrl-C saves and --resume takes the same steps', async () => {
    const args = [
      '--data',
      path('rated.csv'),
      '--task',
      'regression',
      '--train',
      'lora:2',
      '--epochs',
      '15',
      '--seed',
      's',
    ];
    const whole = await train([...args, '--out', path('whole')]);
    expect(whole.code).toBe(0);
    const first = await train([...args, '--out', path('parts')], 4);
    expect(first.code).toBe(130);
    expect(last(first).event).toBe('interrupted');
    const other = await train([...args, '--epochs', '16', '--out', path('parts'), '--resume']);
    expect(other).toMatchObject({ code: 2, error: expect.stringContaining('other options') });
    const second = await train([...args, '--out', path('parts'), '--resume']);
    expect(second.code).toBe(0);
    expect(losses(first).length).toBeGreaterThanOrEqual(4);
    expect(losses(first).length).toBeLessThan(losses(whole).length);
    expect([...losses(first), ...losses(second)]).toEqual(losses(whole));
    const [parts, unbroken] = ['parts', 'whole'].map((run) => readFileSync(path(`${run}/model.safetensors`)));
    expect(parts?.equals(unbroken as Buffer)).toBe(true);
  });
});
