import { mergeAdapter, readAdapterDirectory } from '../../shared/bert/adapter.ts';
import { attentionBias, meanMask } from '../../shared/bert/batch.ts';
import { type ModelDirectory, readModelDirectory } from '../../shared/bert/directory.ts';
import { embed } from '../../shared/bert/embeddings.ts';
import {
  type Bert,
  type BertTask,
  type CreateBert,
  createBert,
  type Gradients,
  type LabelledBatch,
  type Trainable,
} from '../../shared/bert/model.ts';
import { createPretraining, type Pretraining, type PretrainingBatch } from '../../shared/bert/pretraining.ts';
import { frozenProgram } from '../../shared/bert/programs.ts';
import { sequenceStore } from '../../shared/bert/store.ts';
import { fromUtf8 } from '../../shared/core/bytes.ts';
import { seededRng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { flatten, type Layout, unflatten } from '../../shared/tensor/layout.ts';
import type { Weights } from '../../shared/tensor/named.ts';
import { readWeights } from '../../shared/tensor/safetensors.ts';
import type { Finding } from '../conformance/findings.ts';

/** Files of a vectors directory (and of the base it names) by path, e.g. `case.json`, `../bert-tiny/model.safetensors`. */
export type CaseFiles = ReadonlyMap<string, Uint8Array>;

interface Clip {
  readonly C: number;
  readonly file: string;
}
interface OtherTask {
  readonly labels: number[] | number[][];
  readonly loss?: number;
  readonly per_example_loss: number[];
  readonly grads?: Record<string, number[] | number[][]>;
  readonly gradNorms?: Record<string, number>;
}
interface Case {
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly token_type_ids: number[][];
  readonly labels: number[] | number[][];
  readonly logits?: number[][];
  readonly pooled_output?: number[][];
  readonly last_hidden_state_example0?: number[][];
  readonly per_example_loss: number[];
  readonly perExample: { norms: number[]; squaredNorms: Record<string, number[]>; clips: Clip[] };
  readonly otherTasks?: Record<string, OtherTask>;
  readonly base?: string;
  readonly next_sentence_label?: number[];
  readonly loss: number;
  readonly mlm_loss?: number;
  readonly nsp_loss?: number;
  readonly mean_example_loss?: number;
  readonly seq_relationship_logits?: number[][];
  readonly prediction_logits?: { example: number; position: number; logits: number[] }[];
}

/**
 * Compares an engine with a directory in the format of test/vectors/bert-tiny, bert-pretrain-tiny or lora-tiny.
 * @param slack multiplies every tolerance: 1 for float32 engines; GPU engines of lower precision say what they need
 */
export async function checkBertCase(files: CaseFiles, engine: Engine, slack = 1): Promise<Finding[]> {
  const data = JSON.parse(fromUtf8(required(files, 'case.json'))) as Case;
  const report = new Report(files, data, slack);
  if (data.next_sentence_label !== undefined) await checkPretraining(report, engine);
  else await checkSequence(report, engine);
  return report.findings;
}

class Report {
  readonly findings: Finding[] = [];
  readonly files: CaseFiles;
  readonly data: Case;
  readonly #slack: number;

  constructor(files: CaseFiles, data: Case, slack: number) {
    this.files = files;
    this.data = data;
    this.#slack = slack;
  }

  /** Largest difference, relative to `scale` (default: the largest expected value). */
  compare(
    what: string,
    actual: ArrayLike<number>,
    expected: ArrayLike<number>,
    tolerance: number,
    scale = largest(expected),
  ): void {
    let worst = actual.length === expected.length ? 0 : Number.POSITIVE_INFINITY;
    for (let i = 0; i < expected.length; i++) {
      const difference = Math.abs((actual[i] as number) - (expected[i] as number));
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
    }
    this.findings.push({ what, error: worst / scale, tolerance: tolerance * this.#slack });
  }

  /** Every tensor: max(2e-5 of its own largest value, 2e-6 of the largest of all). */
  compareTensors(what: string, flat: Float32Array, layout: Layout, expected: Weights): void {
    const all = largest(flatten(expected, layout));
    for (const [name, { data }] of unflatten(flat, layout)) {
      const want = expected.get(name)?.data ?? new Float32Array(0);
      this.compare(`${what} ${name}`, data, want, 2e-5, Math.max(largest(want), all / 10));
    }
  }

  compareSquaredNorms(gradients: { readonly squaredNorms?: Gradients['squaredNorms'] }): void {
    const totals = this.data.perExample.norms.map((n) => n * n);
    for (const [name, want] of Object.entries(this.data.perExample.squaredNorms)) {
      const got = gradients.squaredNorms?.get(name) ?? new Float32Array(0);
      const errors = want.map(
        (w, b) => Math.abs((got[b] ?? Number.NaN) - w) / (2e-5 * w + 1e-10 * (totals[b] as number)),
      );
      this.findings.push({
        what: `squared norms ${name}`,
        error: largest(errors) * 2e-5,
        tolerance: 2e-5 * this.#slack,
      });
    }
  }

  weights(path: string): Weights {
    return readWeights(required(this.files, path), path);
  }
}

/** What a model file has beside the parameters that were given for this case. */
function openDirectory(report: Report, base = ''): ModelDirectory {
  const under = [...report.files].filter(([path]) => path.startsWith(base) && !path.slice(base.length).includes('/'));
  return readModelDirectory(new Map(under.map(([path, bytes]) => [path.slice(base.length), bytes])));
}

/** As transformers guesses it where `problem_type` is not set. */
function taskOf(problem: unknown, labels: Case['labels'], width: number): BertTask {
  if (typeof problem === 'string') return problem.replace('_classification', '') as BertTask;
  if (width === 1) return 'regression';
  if (!Array.isArray(labels[0])) return 'single_label';
  return (labels as number[][]).flat().every((label) => label === 0 || label === 1) ? 'multi_label' : 'regression';
}

async function checkSequence(report: Report, engine: Engine): Promise<void> {
  const { data } = report;
  const directory = openDirectory(report, data.base === undefined ? '' : `${data.base}/`);
  const { config } = directory;
  const adapter = data.base === undefined ? undefined : readAdapterDirectory(report.files);
  // Refuses what would be left out.
  const merged = adapter === undefined ? undefined : mergeAdapter(directory, adapter);
  const weights = new Map([...directory.weights, ...(adapter?.weights ?? [])]);
  const trainable: Trainable = adapter === undefined ? 'all' : { lora: adapter.spec };
  const labels = (data.logits as number[][])[0]?.length ?? 0;
  const options: Omit<CreateBert, 'task'> = {
    engine,
    config,
    weights,
    head: 'pooler',
    labels,
    trainable,
    shape: { batch: data.input_ids.length, tokens: (data.input_ids[0] as number[]).length },
    rng: seededRng('conformance'),
  };
  const task = taskOf(config.raw['problem_type'], data.labels, labels);
  const bert = await createBert({ ...options, task });
  const batch = batchOf(data, targets(task, data.labels));
  report.compare('logits', await bert.logits(batch), (data.logits as number[][]).flat(), 1e-5);
  if (data.pooled_output !== undefined)
    report.compare('pooled output', await bert.features(batch), data.pooled_output.flat(), 1e-5);
  if (data.last_hidden_state_example0 !== undefined)
    await checkHidden(report, { ...options, task }, batch, data.last_hidden_state_example0.flat());
  const plain = await bert.gradients(batch, { l2Clip: Number.POSITIVE_INFINITY });
  report.compare('loss', [mean(plain.losses)], [data.loss], 1e-5);
  report.compareTensors(
    'gradient',
    plain.clippedSum.map((x) => x / batch.weights.length),
    bert.trainableLayout,
    report.weights('grads.safetensors'),
  );
  for (const clip of data.perExample.clips) {
    const gradients = await bert.gradients(batch, { l2Clip: clip.C, detail: true });
    report.compare(`losses (C ${clip.C})`, gradients.losses, data.per_example_loss, 1e-5);
    report.compare(`norms (C ${clip.C})`, gradients.norms, data.perExample.norms, 1e-5);
    report.compareSquaredNorms(gradients);
    report.compareTensors(
      `clipped sum (C ${clip.C})`,
      gradients.clippedSum,
      bert.trainableLayout,
      report.weights(clip.file),
    );
  }
  if (merged !== undefined) {
    checkMerged(report, 'merged', merged);
    checkMerged(report, 'merged in training', bert.weightsNow());
  }
  await bert.dispose();
  for (const [name, other] of Object.entries(data.otherTasks ?? {}))
    await checkTask(report, await createBert({ ...options, task: name as BertTask }), name as BertTask, other);
}

const targets = (task: BertTask, labels: Case['labels']): Int32Array | Float32Array =>
  task === 'single_label' ? Int32Array.from(labels as number[]) : Float32Array.from(labels.flat());

/** The last block's output, of the first example up to its last unmasked token: nothing reads what stands behind. */
async function checkHidden(
  report: Report,
  options: CreateBert,
  batch: LabelledBatch,
  expected: readonly number[],
): Promise<void> {
  const { config, shape, engine } = options;
  const store = sequenceStore(options);
  const graph = frozenProgram({
    ...options,
    ...shape,
    recordsPerUnit: 1,
    from: config.layers,
    shapes: new Map([...store.parameters].map(([name, p]) => [name, p.shape])),
    lora: store.lora,
    trains: () => false,
    dropout: false,
  });
  const parameters = [...store.parameters.values()];
  const step = await engine.compile(graph, parameters);
  const rows = new Float32Array(shape.batch * shape.tokens * config.hiddenSize);
  const feeds = new Map([
    ['embedded', embed(store.tables(), batch, shape.tokens)],
    ['attentionBias', attentionBias(batch.attentionMask)],
    ['meanMask', meanMask(batch.attentionMask, shape.tokens)],
  ]);
  await step.run(feeds, new Map([['frozen', rows]]));
  await step.dispose();
  engine.release(parameters);
  report.compare('last hidden state', rows.subarray(0, expected.length), expected, 1e-5);
}

async function checkTask(report: Report, bert: Bert, task: BertTask, other: OtherTask): Promise<void> {
  const batch = batchOf(report.data, targets(task, other.labels));
  const plain = await bert.gradients(batch, { l2Clip: Number.POSITIVE_INFINITY });
  report.compare(`${task} losses`, plain.losses, other.per_example_loss, 1e-5);
  if (other.loss !== undefined) report.compare(`${task} loss`, [mean(plain.losses)], [other.loss], 1e-5);
  const named = unflatten(
    plain.clippedSum.map((x) => x / batch.weights.length),
    bert.trainableLayout,
  );
  const gradient = (name: string): Float32Array => named.get(name)?.data ?? new Float32Array(0);
  for (const [name, values] of Object.entries(other.grads ?? {}))
    report.compare(`${task} gradient ${name}`, gradient(name), (values as number[]).flat(), 2e-5);
  const most = largest(Object.values(other.gradNorms ?? {}));
  for (const [name, norm] of Object.entries(other.gradNorms ?? {}))
    report.compare(
      `${task} gradient norm ${name}`,
      [Math.sqrt(gradient(name).reduce((sum, x) => sum + x * x, 0))],
      [norm],
      2e-5,
      Math.max(norm, most / 10),
    );
  await bert.dispose();
}

function checkMerged(report: Report, what: string, merged: Weights): void {
  for (const [name, { data }] of report.weights('merged.safetensors'))
    report.compare(`${what} ${name}`, merged.get(name)?.data ?? new Float32Array(0), data, 1e-6, 1);
}

async function checkPretraining(report: Report, engine: Engine): Promise<void> {
  const { data } = report;
  const predicted = (data.labels as number[][]).map((row) => row.filter((label) => label !== -100).length);
  // Room for what is predicted, and for the positions whose logits are listed, all of which may be one example's.
  const listed = new Set(data.prediction_logits?.map((p) => `${p.example}:${p.position}`));
  const masked = Math.max(1, ...predicted, Math.ceil(listed.size / predicted.length));
  const size = { batch: predicted.length, tokens: (data.input_ids[0] as number[]).length, masked };
  const { config, weights } = openDirectory(report);
  const options = {
    engine,
    config,
    weights,
    shape: size,
    nextSentence: true,
    rng: seededRng('c'),
  };
  const bert = await createPretraining(options);
  const batch = {
    ...batchOf(data, new Int32Array(0)),
    labels: Int32Array.from((data.labels as number[][]).flat()),
    nextSentenceLabel: Int32Array.from(data.next_sentence_label as number[]),
  };
  await checkPredictions(report, bert, batch, config.vocabSize);
  const whole = await bert.batchGradients(batch);
  report.compare('loss', [whole.loss], [data.loss], 1e-5);
  report.compare('masked loss', [whole.maskedLoss], [data.mlm_loss as number], 1e-5);
  if (data.nsp_loss !== undefined)
    report.compare('next-sentence loss', [whole.nextSentenceLoss], [data.nsp_loss], 1e-5);
  report.compareTensors('gradient', whole.gradient, bert.trainableLayout, report.weights('grads.safetensors'));
  for (const clip of data.perExample.clips) {
    const gradients = await bert.gradients(batch, { l2Clip: clip.C, detail: true });
    report.compare(`losses (C ${clip.C})`, gradients.losses, data.per_example_loss, 1e-5);
    if (data.mean_example_loss !== undefined)
      report.compare(`mean example loss (C ${clip.C})`, [mean(gradients.losses)], [data.mean_example_loss], 1e-5);
    report.compare(`norms (C ${clip.C})`, gradients.norms, data.perExample.norms, 1e-5);
    report.compareSquaredNorms(gradients);
    report.compareTensors(
      `clipped sum (C ${clip.C})`,
      gradients.clippedSum,
      bert.trainableLayout,
      report.weights(clip.file),
    );
  }
  await bert.dispose();
}

/** Logits at the positions that the case lists, which are not all predicted ones. */
async function checkPredictions(
  report: Report,
  bert: Pretraining,
  batch: PretrainingBatch,
  vocabulary: number,
): Promise<void> {
  const { data } = report;
  const tokens = (data.input_ids[0] as number[]).length;
  const listed = (data.prediction_logits ?? []).map((p) => ({ ...p, row: p.example * tokens + p.position }));
  const rows = [...new Set(listed.map(({ row }) => row))].sort((a, b) => a - b);
  const labels = new Int32Array(batch.labels.length).fill(-100);
  for (const { row } of listed) labels[row] = 0;
  const { predictions, nextSentence } = await bert.logits({ ...batch, labels });
  report.compare('next-sentence logits', nextSentence, (data.seq_relationship_logits as number[][]).flat(), 1e-5);
  for (const { example, position, row, logits } of listed) {
    const at = rows.indexOf(row);
    const found = predictions.subarray(at * vocabulary, (at + 1) * vocabulary);
    report.compare(`prediction logits ${example}:${position}`, found, logits, 1e-5);
  }
}

const mean = (values: Float32Array): number => values.reduce((a, b) => a + b, 0) / values.length;

function batchOf(data: Case, labels: Int32Array | Float32Array): LabelledBatch {
  const ints = (rows: number[][]): Int32Array => Int32Array.from(rows.flat());
  return {
    inputIds: ints(data.input_ids),
    attentionMask: ints(data.attention_mask),
    tokenTypeIds: ints(data.token_type_ids),
    labels,
    weights: new Float32Array(data.input_ids.length).fill(1),
  };
}

function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i] as number));
  return most;
}

function required(files: CaseFiles, path: string): Uint8Array {
  const bytes = files.get(path);
  if (bytes === undefined) throw new Error(`no file ${path} in the case`);
  return bytes;
}
