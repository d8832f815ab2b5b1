import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, it } from 'vitest';
import { licence } from '../unit/training/pretraining/fixture.ts';

const bin = new URL('../../bin/tacit.js', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'tacit-checkpoint-'));
const text = join(folder, 'text.txt');
writeFileSync(text, licence);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Line {
  readonly event: string;
  readonly step?: number;
}

/** Runs to the end, or interrupts as Ctrl-C does after so many steps. */
async function tacit(args: readonly string[], interruptAfter = Number.POSITIVE_INFINITY) {
  const child: ChildProcess = spawn(process.execPath, [bin, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: Line[] = [];
  let errors = '';
  child.stderr?.on('data', (chunk) => {
    errors += chunk;
  });
  const closed = once(child, 'close');
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    lines.push(JSON.parse(line) as Line);
    if (lines.at(-1)?.event === 'step' && lines.at(-1)?.step === interruptAfter) child.kill('SIGINT');
  }
  const [code] = (await closed) as [number];
  return { code, lines, errors };
}

const losses = (out: string): number[] =>
  (JSON.parse(readFileSync(join(out, 'training.json'), 'utf8')) as { losses: number[] }).losses;

const small = ['--text', text, '--vocabulary', '400', '--width', '16', '--layers', '1', '--seed', 'a'];
const pretrain = ['pretrain', ...small, '--steps', '150', '--batch', '8', '--tokens', '32'];

describe('tacit pretrain and tacit distil', () => {
  const teacher = join(folder, 'whole');

  it('pretrain: Ctrl-C saves, the same command goes on, and the losses and bytes are those of one run', async () => {
    const whole = await tacit([...pretrain, '--out', teacher]);
    expect([whole.code, whole.errors]).toEqual([0, '']);
    const out = join(folder, 'resumed');
    const first = await tacit([...pretrain, '--out', out], 40);
    expect(first.code).toBe(0);
    expect(first.lines.at(-1)?.event).toBe('stopped');
    expect(existsSync(out)).toBe(false);
    const other = await tacit([...pretrain, '--out', out, '--learning-rate', '1e-4']);
    expect(other.code).toBe(1);
    expect(other.errors).toContain('TRAINING_STATE_INVALID');
    const second = await tacit([...pretrain, '--out', out]);
    expect(second.lines.some((l) => l.event === 'resumed')).toBe(true);
    expect(losses(out)).toEqual(losses(teacher));
    const bytes = (dir: string): Buffer => readFileSync(join(dir, 'model.safetensors'));
    expect(bytes(out).equals(bytes(teacher))).toBe(true);
    expect(existsSync(`${out}.partial`)).toBe(false);
    const again = await tacit([...pretrain, '--out', out]);
    expect([again.code, again.errors.includes('FILE_EXISTS')]).toEqual([2, true]);
  });

  it('distil: learns from the directory that pretrain made, stopped and gone on with', async () => {
    const distil = ['distil', ...small, '--teacher', teacher, '--steps', '60', '--readings', '160', '--pieces', '512'];
    const [a, b] = [join(folder, 'student'), join(folder, 'student-resumed')];
    const whole = await tacit([...distil, '--out', a]);
    expect([whole.code, whole.errors]).toEqual([0, '']);
    expect((await tacit([...distil, '--out', b], 20)).lines.at(-1)?.event).toBe('stopped');
    expect((await tacit([...distil, '--out', b])).code).toBe(0);
    expect(losses(b)).toEqual(losses(a));
    expect(losses(a).length).toBe(60);
    const none = await tacit([...distil, '--teacher', join(folder, 'nowhere'), '--out', join(folder, 'c')]);
    expect([none.code, none.errors.includes('FILE_MISSING')]).toEqual([2, true]);
  });
});
