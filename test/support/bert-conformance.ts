import { loraFromConfig } from '../../shared/bert/adapter.ts';
import { parseBertConfig } from '../../shared/bert/config.ts';
import {
  type Bert,
  type BertTask,
  createBert,
  type Gradients,
  type LabelledBatch,
  type Trainable,
} from '../../shared/bert/model.ts';
import { createPretraining, type Pretraining, type PretrainingBatch } from '../../shared/bert/pretraining.ts';
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
interface Case {
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly token_type_ids: number[][];
  readonly labels: number[] | number[][];
  readonly logits?: number[][];
  readonly per_example_loss: number[];
  readonly perExample: { norms: number[]; squaredNorms: Record<string, number[]>; clips: Clip[] };
  readonly otherTasks?: Record<
    string,
    { labels: number[][]; per_example_loss: number[]; grads?: Record<string, number[] | number[][]> }
  >;
  readonly base?: string;
  readonly next_sentence_label?: number[];
  readonly loss: number;
  readonly mlm_loss?: number;
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

  json(path: string): unknown {
    return JSON.parse(fromUtf8(required(this.files, path)));
  }
}

async function checkSequence(report: Report, engine: Engine): Promise<void> {
  const { data } = report;
  const base = data.base === undefined ? '' : `${data.base}/`;
  const config = parseBertConfig(report.json(`${base}config.json`));
  const weights = new Map(report.weights(`${base}model.safetensors`));
  const trainable: Trainable =
    data.base === undefined ? 'all' : { lora: loraFromConfig(report.json('adapter_config.json')) };
  if (data.base !== undefined) addAdapter(weights, report.weights('adapter_model.safetensors'));
  const labels = (data.logits as number[][])[0]?.length ?? 0;
  const open = (task: BertTask): Promise<Bert> =>
    createBert({
      engine,
      config,
      weights,
      head: 'pooler',
      labels,
      task,
      trainable,
      shape: { batch: data.input_ids.length, tokens: (data.input_ids[0] as number[]).length },
      rng: seededRng('conformance'),
    });
  const bert = await open('single_label');
  const batch = batchOf(data, Int32Array.from(data.labels as number[]));
  report.compare('logits', await bert.logits(batch), (data.logits as number[][]).flat(), 1e-5);
  report.compareTensors(
    'gradient',
    await meanGradient(bert, batch),
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
  if (data.base !== undefined) await checkMerged(report, bert);
  await bert.dispose();
  for (const [task, other] of Object.entries(data.otherTasks ?? {}))
    await checkTask(report, await open(task as BertTask), task, other);
}

async function checkTask(
  report: Report,
  bert: Bert,
  task: string,
  other: NonNullable<Case['otherTasks']>[string],
): Promise<void> {
  const batch = batchOf(report.data, Float32Array.from(other.labels.flat()));
  const plain = await bert.gradients(batch, { l2Clip: Number.POSITIVE_INFINITY });
  report.compare(`${task} losses`, plain.losses, other.per_example_loss, 1e-5);
  const named = unflatten(plain.clippedSum, bert.trainableLayout);
  for (const [name, values] of Object.entries(other.grads ?? {})) {
    const mean = named.get(name)?.data.map((x) => x / batch.weights.length) ?? new Float32Array(0);
    report.compare(`${task} gradient ${name}`, mean, (values as number[]).flat(), 2e-5);
  }
  await bert.dispose();
}

async function checkMerged(report: Report, bert: Bert): Promise<void> {
  const merged = bert.weightsNow();
  for (const [name, { data }] of report.weights('merged.safetensors')) {
    report.compare(`merged ${name}`, merged.get(name)?.data ?? new Float32Array(0), data, 1e-6, 1);
  }
}

async function checkPretraining(report: Report, engine: Engine): Promise<void> {
  const { data } = report;
  const size = { batch: data.input_ids.length, tokens: (data.input_ids[0] as number[]).length, masked: 4 };
  const config = parseBertConfig(report.json('config.json'));
  const options = {
    engine,
    config,
    weights: report.weights('model.safetensors'),
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
  const mean = await bert.gradients(batch);
  report.compare('loss', [mean.loss], [data.loss], 1e-5);
  report.compare('masked loss', [mean.maskedLoss], [data.mlm_loss as number], 1e-5);
  report.compareTensors('gradient', mean.gradient, bert.trainableLayout, report.weights('grads.safetensors'));
  for (const clip of data.perExample.clips) {
    const gradients = await bert.privateGradients(batch, batch.weights, { l2Clip: clip.C, detail: true });
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
  listed.sort((a, b) => a.row - b.row);
  const labels = new Int32Array(batch.labels.length).fill(-100);
  for (const { row } of listed) labels[row] = 0;
  const { predictions, nextSentence } = await bert.logits({ ...batch, labels });
  report.compare('next-sentence logits', nextSentence, (data.seq_relationship_logits as number[][]).flat(), 1e-5);
  for (const [i, { example, position, logits }] of listed.entries()) {
    const row = predictions.slice(i * vocabulary, (i + 1) * vocabulary);
    report.compare(`prediction logits ${example}:${position}`, row, logits, 1e-5);
  }
}

async function meanGradient(bert: Bert, batch: LabelledBatch): Promise<Float32Array> {
  const { clippedSum } = await bert.gradients(batch, { l2Clip: Number.POSITIVE_INFINITY });
  return clippedSum.map((x) => x / batch.weights.length);
}

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

/** Adapter tensors keep peft's names; what trains in full beside them replaces the base's. */
function addAdapter(weights: Map<string, NonNullable<ReturnType<Weights['get']>>>, adapter: Weights): void {
  for (const [name, tensor] of adapter) {
    const plain = name.includes('.lora_') ? name : name.replace(/^base_model\.model\./, '');
    weights.set(plain, { ...tensor, name: plain });
  }
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
