import { resolve } from 'node:path';
import type { Head, Trainable } from '../../shared/bert/model.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { CommandLineErrorCode } from '../../shared/node/command-line.ts';
import type { TextTask } from '../../shared/text/records.ts';
import type { OptimizerSpec } from '../../shared/training/optimizers.ts';
import type { Schedule } from '../../shared/training/schedules.ts';

/** `tacit train`, parsed. */
export interface TrainSettings {
  /** Directory or hf:org/name. */
  readonly model: string;
  readonly data: string;
  readonly out: string;
  readonly task: TextTask;
  readonly text: readonly string[];
  readonly label: string;
  /** Given on the command line; else from the model, else (without privacy) from the data. */
  readonly labels?: readonly string[];
  readonly labelValues?: Readonly<Record<string, string>>;
  readonly header?: readonly string[];
  readonly person?: string;
  readonly heldOut?: string;
  /** Part of the data that is held out where there is no file, in [0, 1). */
  readonly holdOut: number;
  readonly trainable: Trainable;
  readonly head?: Head;
  readonly maxTokens: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: OptimizerSpec;
  readonly learningRate: number;
  readonly schedule: Schedule['kind'];
  /** Part of the steps that warm up, in [0, 1). */
  readonly warmup: number;
  readonly gradientNorm?: number;
  /** Rate for all dropout layers; absent: the model's own, and none with privacy. */
  readonly dropout?: number;
  readonly every?: number;
  readonly patience: number;
  readonly privacy?: { readonly epsilon: number; readonly delta: number; readonly l2Clip: number };
  /** Absent: drawn. */
  readonly seed?: string;
  readonly resume: boolean;
}

export type TrainFlags = Readonly<Record<string, string | boolean | undefined>>;

/** What other commands that read data as `tacit train` does need not ask about. */
export const TRAIN_DEFAULTS: TrainFlags = {
  model: '',
  out: '.',
  data: '',
  text: 'text',
  label: 'label',
  task: 'classification',
  holdOut: '0.1',
  train: 'all',
  maxTokens: '128',
  epochs: '1',
  batchSize: '32',
  optimizer: 'adamw',
  weightDecay: '0',
  schedule: 'constant',
  warmup: '0',
  delta: '1e-5',
  clip: '1',
};

const RATES = { head: 1e-2, lora: 1e-3, layers: 2e-4, all: 1e-4 } as const;

/** @throws USAGE naming the flag */
export function parseSettings(flags: TrainFlags): TrainSettings {
  const text = (name: string): string => String(flags[name]);
  const given = (name: string): string | undefined => (typeof flags[name] === 'string' ? flags[name] : undefined);
  const trainable = parseTrainable(text('train'));
  const kind = typeof trainable === 'string' ? trainable : 'lora' in trainable ? 'lora' : 'layers';
  const optional = <T>(name: string, parse: (value: string) => T): Record<string, T> => {
    const value = given(name);
    return value === undefined ? {} : { [name]: parse(value) };
  };
  const within = (name: string, low: number, high: number) => (value: string) => numberIn(name, value, low, high);
  return {
    model: text('model'),
    data: text('data'),
    out: resolve(text('out')),
    task: oneOf('task', text('task'), ['classification', 'multi-label', 'regression']),
    text: list(text('text')),
    label: text('label'),
    ...optional('labels', list),
    ...optional('labelValues', parsePairs),
    ...optional('header', list),
    ...optional('person', String),
    ...optional('heldOut', String),
    holdOut: numberIn('holdOut', text('holdOut'), 0, 0.9),
    trainable,
    ...optional('head', (value) => oneOf('head', value, ['pooler', 'mean'] as const)),
    maxTokens: wholeIn('maxTokens', text('maxTokens'), 8, 512),
    epochs: wholeIn('epochs', text('epochs'), 1, 100_000),
    batchSize: wholeIn('batchSize', text('batchSize'), 1, 1_000_000),
    optimizer: parseOptimizer(text('optimizer'), numberIn('weightDecay', text('weightDecay'), 0, 1)),
    learningRate:
      given('learningRate') === undefined ? RATES[kind] : numberIn('learningRate', text('learningRate'), 0, 1000),
    schedule: oneOf('schedule', text('schedule'), ['constant', 'linear', 'cosine']),
    warmup: numberIn('warmup', text('warmup'), 0, 0.99),
    ...optional('gradientNorm', within('gradientNorm', 0, 1e6)),
    ...optional('dropout', within('dropout', 0, 0.99)),
    ...optional('every', (value) => wholeIn('every', value, 1, 1_000_000)),
    patience:
      given('earlyStopping') === undefined
        ? Number.POSITIVE_INFINITY
        : wholeIn('earlyStopping', text('earlyStopping'), 1, 1000),
    ...privacyOf(given('epsilon'), text('delta'), text('clip')),
    ...optional('seed', String),
    resume: flags['resume'] === true,
  };
}

function privacyOf(epsilon: string | undefined, delta: string, clip: string): Pick<TrainSettings, 'privacy'> {
  if (epsilon === undefined) return {};
  return {
    privacy: {
      epsilon: numberIn('epsilon', epsilon, 1e-6, 1e4),
      delta: numberIn('delta', delta, 1e-15, 0.01),
      l2Clip: numberIn('clip', clip, 1e-6, 1e6),
    },
  };
}

/** `head`, `all`, `layers:2,3`, `lora:8`, `lora:8:16:query,value` (rank, alpha, targets). */
function parseTrainable(written: string): Trainable {
  if (written === 'head' || written === 'all') return written;
  const [kind, ...rest] = written.split(':');
  if (kind === 'layers') return { layers: list(rest[0] ?? '').map((n) => wholeIn('train', n, 0, 1000)) };
  if (kind !== 'lora')
    throw usage('train', `"${written}" is none of head, all, layers:2,3 and lora:8[:alpha[:targets]]`);
  const rank = wholeIn('train', rest[0] ?? '8', 1, 256);
  const alpha = rest[1] === undefined || rest[1] === '' ? 2 * rank : numberIn('train', rest[1], 1e-6, 4096);
  const targets = rest[2] === undefined ? ['query', 'value'] : list(rest[2]);
  return { lora: { rank, alpha, targets } };
}

function parseOptimizer(kind: string, decay: number): OptimizerSpec {
  switch (oneOf('optimizer', kind, ['adamw', 'adam', 'sgd'] as const)) {
    case 'adamw':
      return { kind: 'adamw', weightDecay: decay };
    case 'adam':
      return { kind: 'adam', l2: decay };
    case 'sgd':
      return { kind: 'sgd', momentum: 0.9, l2: decay };
  }
}

/** `1=World,2=Sports`. */
function parsePairs(written: string): Record<string, string> {
  return Object.fromEntries(
    list(written).map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw usage('labelValues', `"${pair}" is not written value=label`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function list(written: string): string[] {
  return written
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function oneOf<T extends string>(flag: string, value: string, known: readonly T[]): T {
  if ((known as readonly string[]).includes(value)) return value as T;
  throw usage(flag, `"${value}" is none of ${known.join(', ')}`);
}

function numberIn(flag: string, written: string, low: number, high: number): number {
  const value = written.trim() === '' ? Number.NaN : Number(written);
  if (value >= low && value <= high) return value;
  throw usage(flag, `"${written}" is not a number from ${low} to ${high}`);
}

function wholeIn(flag: string, written: string, low: number, high: number): number {
  const value = numberIn(flag, written, low, high);
  if (Number.isInteger(value)) return value;
  throw usage(flag, `"${written}" is not a whole number`);
}

function usage(flag: string, what: string): TacitError<CommandLineErrorCode> {
  const written = flag.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
  return new TacitError<CommandLineErrorCode>('USAGE', what, {
    where: `--${written}`,
    fix: 'Run "tacit train --help".',
  });
}
