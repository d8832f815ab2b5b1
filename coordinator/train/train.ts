import { writeAdapterDirectory } from '../../shared/bert/adapter.ts';
import { parseBertConfig } from '../../shared/bert/config.ts';
import { type ModelDirectory, readModelDirectory, writeModelDirectory } from '../../shared/bert/directory.ts';
import { type Bert, createBert } from '../../shared/bert/model.ts';
import { hex, utf8 } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { type Rng, seededRng, systemRng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { CommandLineErrorCode } from '../../shared/node/command-line.ts';
import { openTokenizer } from '../../shared/protocol/stage-model.ts';
import { type EncodedExample, encodeRecords } from '../../shared/text/encode.ts';
import type { DataReport } from '../../shared/text/report.ts';
import { type Best, trainWatched, type WatchedStep } from '../../shared/training/early-stopping.ts';
import { logitsOf } from '../../shared/training/evaluate.ts';
import { createFeatureCache } from '../../shared/training/features.ts';
import { type LocalTraining, stepsOf } from '../../shared/training/local.ts';
import type { Schedule } from '../../shared/training/schedules.ts';
import { BERT_TASK, type TaskMetrics, taskMetrics } from '../../shared/training/task-metrics.ts';
import { unitsOf } from '../../shared/training/units.ts';
import { readModelFiles } from '../models/model-files.ts';
import { labelsInData, readTrainData } from './data.ts';
import { type LocalPromise, localPromise } from './promise.ts';
import type { TrainSettings } from './settings.ts';
import { loadState, type SavedTraining, saveState } from './state.ts';

const BATCH_ROWS = 16;

/** Everything that `tacit train` prepared before the first step. */
export interface TrainSession {
  readonly settings: TrainSettings;
  readonly seed: string;
  readonly labels: readonly string[];
  readonly report: DataReport;
  readonly trained: number;
  readonly held: number;
  readonly parameters: number;
  readonly steps: number;
  readonly promise: LocalPromise | undefined;
  /** Quality on the held-out records with the weights that the model holds; without any, on the training records. */
  evaluate(): Promise<TaskMetrics>;
  /** Runs to the end or until the signal; state is saved on the way. */
  run(signal: AbortSignal): AsyncGenerator<WatchedStep<TaskMetrics>, Best | undefined>;
  /** The Hugging Face directory, with the adapter in `adapter/` for LoRA. */
  files(): Map<string, Uint8Array>;
  dispose(): Promise<void>;
}

/** @throws DATA_*, BERT_*, FILE_*, HUB_*, PRIVACY_*, USAGE before anything is trained */
export async function openTraining(settings: TrainSettings, engine: Engine): Promise<TrainSession> {
  const saved = settings.resume ? await loadState(settings) : undefined;
  const seed = saved?.seed ?? settings.seed ?? hex(systemRng.bytes(16));
  const directory = withDropout(readModelDirectory(await readModelFiles(settings.model)), settings);
  const labels = await labelsOf(settings, directory);
  const { train, held, report } = await readTrainData(settings, labels, seededRng(`${seed}/split`));
  const tokenizer = openTokenizer(directory.tokenizer);
  const maxTokens = Math.min(settings.maxTokens, directory.config.maxPositions);
  const encode = (records: typeof train): EncodedExample[] => encodeRecords(records, tokenizer, { labels, maxTokens });
  const shape = { batch: BATCH_ROWS, tokens: maxTokens };
  const bert = await openBert(settings, directory, labels, shape, engine, seededRng(`${seed}/weights`));
  const [examples, heldExamples] = [encode(train), encode(held)];
  const units = settings.person === undefined ? undefined : unitsOf(train);
  const promise = localPromise(settings, bert.trainableLayout.length, units?.count ?? examples.length);
  const head = settings.trainable === 'head';
  const measured = heldExamples.length > 0 ? heldExamples : examples;
  const measuredFeatures = head ? createFeatureCache(bert, measured, shape) : undefined;
  const training: Omit<LocalTraining, 'rng' | 'schedule'> = {
    bert,
    examples,
    shape,
    epochs: settings.epochs,
    batchSize: settings.batchSize,
    optimizer: settings.optimizer,
    ...(settings.gradientNorm === undefined ? {} : { gradientNorm: settings.gradientNorm }),
    ...(head ? { features: createFeatureCache(bert, examples, shape) } : {}),
    ...(dropoutOn(settings, directory)
      ? {
          dropoutSeed: seededRng(`${seed}/dropout`)
            .bytes(3)
            .reduce((n, b) => n * 256 + b, 0),
        }
      : {}),
    ...(promise === undefined
      ? {}
      : { privacy: { mechanism: promise.mechanism, ...(units === undefined ? {} : { units }) } }),
  };
  const steps = stepsOf(training);
  const evaluate = async (): Promise<TaskMetrics> => {
    const logits = await logitsOf(bert, measured, labels.length, shape, measuredFeatures);
    return taskMetrics(BERT_TASK[settings.task], logits, measured, labels.length);
  };
  return {
    settings,
    seed,
    labels,
    report,
    trained: examples.length,
    held: heldExamples.length,
    parameters: bert.trainableLayout.length,
    steps,
    promise,
    evaluate,
    run: (signal) => run({ settings, seed, training, steps, evaluate, saved, signal }),
    files: () => filesOf(settings, directory, labels, bert),
    dispose: () => bert.dispose(),
  };
}

interface Running {
  readonly settings: TrainSettings;
  readonly seed: string;
  readonly training: Omit<LocalTraining, 'rng' | 'schedule'>;
  readonly steps: number;
  readonly evaluate: () => Promise<TaskMetrics>;
  readonly saved: SavedTraining | undefined;
  readonly signal: AbortSignal;
}

/** Seconds between two saves of the state while training runs. */
const SAVE_SECONDS = 30;

async function* run({
  settings,
  seed,
  training,
  steps,
  evaluate,
  saved,
  signal,
}: Running): AsyncGenerator<WatchedStep<TaskMetrics>, Best | undefined> {
  // Noise and samples of a promise come from the system; a seed is for experiments, and the report says so.
  const rng: Rng =
    settings.privacy !== undefined && settings.seed === undefined ? systemRng : seededRng(`${seed}/order`);
  const watch = {
    evaluate,
    every: settings.every ?? Math.max(1, Math.round(steps / settings.epochs)),
    patience: settings.patience,
    ...(saved === undefined ? {} : { resume: saved.watched }),
  };
  const steady = { ...training, rng, schedule: scheduleOf(settings, steps) };
  const watched = trainWatched(saved === undefined ? steady : { ...steady, resume: saved.training }, watch);
  let savedAt = performance.now();
  for (;;) {
    const next = await watched.next();
    if (next.done === true) return next.value;
    const stopping = signal.aborted && next.value.step < steps;
    if (stopping || performance.now() - savedAt > SAVE_SECONDS * 1000) {
      await saveState(settings, { seed, training: next.value.state(), watched: next.value.watched() });
      savedAt = performance.now();
    }
    yield next.value;
    if (stopping) return undefined;
  }
}

function scheduleOf({ schedule, learningRate, warmup }: TrainSettings, steps: number): Schedule {
  const warmupSteps = Math.round(warmup * steps);
  if (schedule === 'constant') return { kind: 'constant', learningRate, warmupSteps };
  return { kind: schedule, learningRate, warmupSteps, totalSteps: steps };
}

/** Noise and dropout together only cost accuracy, so a private run drops nothing unless asked to. */
function dropoutOn({ dropout, privacy, trainable }: TrainSettings, { config }: ModelDirectory): boolean {
  if (trainable === 'head') return false;
  if (dropout !== undefined) return dropout > 0;
  const rates = config.hiddenDropout + config.attentionDropout + config.classifierDropout;
  return privacy === undefined && rates > 0;
}

function withDropout(directory: ModelDirectory, { dropout }: TrainSettings): ModelDirectory {
  if (dropout === undefined) return directory;
  const rates = { hidden_dropout_prob: dropout, attention_probs_dropout_prob: dropout, classifier_dropout: dropout };
  return { ...directory, config: parseBertConfig({ ...directory.config.raw, ...rates }) };
}

async function labelsOf(settings: TrainSettings, { config, weights }: ModelDirectory): Promise<readonly string[]> {
  if (settings.task === 'regression') return [settings.label];
  if (settings.labels !== undefined) return settings.labels;
  const known = weights.has('classifier.weight') ? config.labelNames : undefined;
  if (known !== undefined) return known;
  if (settings.privacy === undefined) return labelsInData(settings);
  throw new TacitError<CommandLineErrorCode>(
    'USAGE',
    'with a privacy budget the labels must be given, not read from the data',
    {
      where: '--labels',
      fix: 'Write them, e.g. --labels ham,spam.',
    },
  );
}

export function openBert(
  settings: TrainSettings,
  directory: ModelDirectory,
  labels: readonly string[],
  shape: { readonly batch: number; readonly tokens: number },
  engine: Engine,
  rng: Rng,
): Promise<Bert> {
  const weights = new Map(directory.weights);
  // A classifier for other labels is of no use: a new one is drawn.
  if (weights.get('classifier.weight')?.shape[0] !== labels.length)
    for (const name of ['classifier.weight', 'classifier.bias']) weights.delete(name);
  return createBert({
    engine,
    config: directory.config,
    weights,
    head: settings.head ?? directory.head,
    labels: labels.length,
    task: BERT_TASK[settings.task],
    trainable: settings.trainable,
    shape,
    rng,
  });
}

function filesOf(
  { trainable, task, model, head }: TrainSettings,
  { config, tokenizer }: ModelDirectory,
  labelNames: readonly string[],
  bert: Bert,
): Map<string, Uint8Array> {
  const weights = bert.weightsNow();
  const files = writeModelDirectory({
    config,
    weights,
    tokenizer,
    labelNames,
    task: BERT_TASK[task],
    ...(head === undefined ? {} : { head }),
  });
  if (typeof trainable !== 'string' && 'lora' in trainable)
    for (const [name, bytes] of writeAdapterDirectory(trainable.lora, bert.adapterNow(), model))
      files.set(`adapter/${name}`, bytes);
  return files;
}

/** `training.json` of a finished training: what was done, for people and for machines. */
export function trainingReport(session: TrainSession, best: Best, metrics: TaskMetrics): Uint8Array {
  const { settings, labels, trained, held, parameters, steps, promise } = session;
  const { privacy: _privacy, resume: _resume, out: _out, ...options } = settings;
  const privacy = promise === undefined ? {} : { privacy: promise.view };
  const report = { options, labels, trained, held, parameters, steps, bestStep: best.step, metrics, ...privacy };
  return utf8(`${JSON.stringify(report, null, 2)}\n`);
}
