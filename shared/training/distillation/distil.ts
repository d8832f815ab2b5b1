import type { BertConfig } from '../../bert/config.ts';
import { createDistillation, type Distillation } from '../../bert/distillation.ts';
import { MAP_FIRST, MAP_LAST } from '../../bert/distillation-programs.ts';
import { encoderSpecs, initialTensors, poolerSpecs } from '../../bert/parameters.ts';
import { TacitError } from '../../core/errors.ts';
import { seededRng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { NamedTensor, Weights } from '../../tensor/named.ts';
import type { Tokenizer } from '../../text/tokenizer.ts';
import type { EncodedCorpus, PretrainingErrorCode } from '../pretraining/corpus.ts';
import { ridge } from '../pretraining/linear-algebra.ts';
import { Trainer, type TrainerState } from '../pretraining/trainer.ts';
import { StudentTexts } from './student-batches.ts';
import { fitSentenceSpace, type SentenceSpace, toTargets } from './targets.ts';
import { BLOCK_TEXTS, longestText, openTeacher, type Teacher, targetLayers, textBlock } from './teacher.ts';
import { teacherStart } from './teacher-start.ts';

/** What decides the result; with the texts, the teacher and the seed it gives the same weights on the same engine. */
export interface DistillationRecipe {
  /** Pieces of text that the teacher reads and the student learns from, rounded up to whole blocks of 32. */
  readonly readings: number;
  readonly steps: number;
  /** Pieces in a batch, padding included. Default 3,072. */
  readonly pieces?: number;
  /** Highest learning rate, after 6 % of the steps; then down a line to 0. Default 8e-4. */
  readonly learningRate?: number;
  /** Default 0.01; not on biases and layer norms. */
  readonly weightDecay?: number;
}

export interface DistillationStep {
  /** 1, 2, … */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  /** Mean cosine of the student's sentence vectors to the teacher's. */
  readonly cosine: number;
}

/** Where the teacher's outputs are kept, so that a run that was stopped need not ask it again. */
export interface TeacherOutputs {
  get(block: number): Float32Array | undefined;
  put(block: number, means: Float32Array): void;
}

export interface DistilOptions extends DistillationRecipe {
  readonly engine: Engine;
  readonly teacher: Teacher & { readonly tokenizer: Tokenizer };
  /** Public text in the teacher's pieces. */
  readonly corpus: EncodedCorpus;
  readonly student: { readonly config: BertConfig; readonly tokenizer: Tokenizer };
  /** The only source of chance. */
  readonly seed: string;
  readonly outputs: TeacherOutputs;
  /** To go on from, of a run with the same options. */
  readonly state?: TrainerState;
  readonly onStage?: (stage: 'teacher' | 'training') => void;
  readonly onBlock?: (done: number, of: number) => void;
  readonly onStep?: (step: DistillationStep) => void;
  /** Ends after the current block or step. */
  readonly signal?: AbortSignal;
}

export interface DistilResult {
  /** Of a bare `BertModel`; the maps are left behind, and the pooler is as drawn. */
  readonly weights: Weights;
  /** What the next run goes on from; absent when the last step was taken. */
  readonly state?: TrainerState;
}

/** Root mean square of the start's word embeddings: far above that of the positions, so that words decide at first. */
const START_RMS = 0.2;
/** Texts that the sentence space and the maps to it are fitted on. */
const FITTED_TEXTS = 8192;
const LOSS = { first: 0.5, similarity: 5 };

/**
 * Teaches a small BERT the sentence space of a bigger one on public text (the teacher's outputs are all it sees): the
 * means of the teacher's token vectors, whitened, are the targets of the student's; word embeddings start from what
 * the teacher says to each piece alone.
 * @throws PRETRAIN_INVALID for a recipe that makes no batch, BERT_NOT_FINITE when the loss diverges, BERT_WEIGHTS_MISSING
 */
export async function distil(options: DistilOptions): Promise<DistilResult | undefined> {
  const { seed, student, steps, state, signal, onStep } = options;
  options.onStage?.('teacher');
  const { space, targets, width } = await askTeacher(options);
  if (stopped(signal)) return undefined;
  const texts = new StudentTexts(spoken(options), student.tokenizer, longestOf(options), options.pieces ?? 3072);
  if (!(Number.isInteger(steps) && steps >= 1 && texts.batches >= 1)) throw noBatch(options.readings, steps);
  const model = await startStudent(options, { space, targets, width }, texts);
  options.onStage?.('training');
  const trainer = new Trainer({
    layout: model.trainableLayout,
    parameters: model.trainable(),
    steps,
    learningRate: options.learningRate ?? 8e-4,
    weightDecay: options.weightDecay ?? 0.01,
    averageFrom: Math.floor(steps / 2),
    ...(state === undefined ? {} : { state }),
  });
  model.setTrainable(trainer.parameters);
  const gradient = new Float32Array(trainer.parameters.length);
  let pass: ReturnType<StudentTexts['pass']> = [];
  let known = -1;
  while (trainer.step < steps && !stopped(signal)) {
    const number = Math.floor(trainer.step / texts.batches);
    if (number !== known) pass = texts.pass(`${seed} pass ${number}`);
    known = number;
    const batch = texts.batch(pass[trainer.step % texts.batches] as (typeof pass)[number]);
    const { loss, cosine } = await model.gradients(batch, rowsOf(targets, width, batch.texts), { into: gradient });
    trainer.take(gradient);
    model.setTrainable(trainer.parameters);
    onStep?.({ step: trainer.step, steps, loss, cosine });
  }
  const finished = trainer.step === steps;
  if (finished) model.setTrainable(trainer.result());
  const weights = new Map([...model.weightsNow()].filter(([name]) => name.startsWith('bert.')));
  await model.dispose();
  return { weights, ...(finished ? {} : { state: trainer.state() }) };
}

function stopped(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** The teacher's means of all texts as targets, and the space they are in. */
async function askTeacher(options: DistilOptions) {
  const { engine, corpus, seed, outputs, signal, onBlock } = options;
  const blocks = Math.ceil(options.readings / BLOCK_TEXTS);
  const teacher = await openTeacher(engine, options.teacher);
  const { width } = teacher;
  const means = new Float32Array(blocks * BLOCK_TEXTS * width);
  for (let block = 0; block < blocks && !stopped(signal); block++) {
    let rows = outputs.get(block);
    if (rows === undefined) {
      rows = await teacher.of(textBlock(corpus, seed, block, longestOf(options)));
      outputs.put(block, rows);
    }
    means.set(rows, block * BLOCK_TEXTS * width);
    onBlock?.(block + 1, blocks);
  }
  await teacher.dispose();
  const layers = targetLayers(options.teacher.config).length;
  const fitted = means.subarray(0, Math.min(means.length, FITTED_TEXTS * width));
  const space = fitSentenceSpace(fitted, layers, width / layers);
  return { space, targets: toTargets(means, space), width };
}

function longestOf({ teacher, student }: DistilOptions): number {
  return longestText(teacher.config, student.config);
}

/** The texts themselves, in the order of the targets' rows. */
function spoken(options: DistilOptions): string[] {
  const { corpus, seed, readings, teacher } = options;
  return Array.from({ length: Math.ceil(readings / BLOCK_TEXTS) }, (_, block) => {
    const { inputIds, attentionMask, tokens } = textBlock(corpus, seed, block, longestOf(options));
    return Array.from({ length: BLOCK_TEXTS }, (_, row) => {
      const from = row * tokens;
      return asText(
        teacher.tokenizer,
        inputIds.subarray(from, from + tokens).filter((_, t) => attentionMask[from + t] === 1),
      );
    });
  }).flat();
}

/** Pieces as words between spaces: BERT's tokenizer parts at spaces and punctuation alike, so nothing is lost. */
function asText(tokenizer: Tokenizer, ids: Int32Array): string {
  let text = '';
  for (const id of ids.subarray(1, -1)) {
    const piece = tokenizer.token(id) as string;
    text += piece.startsWith('##') ? piece.slice(2) : ` ${piece}`;
  }
  return text;
}

async function startStudent(
  { engine, teacher, student: { config, tokenizer }, seed }: DistilOptions,
  { space, targets, width }: { space: SentenceSpace; targets: Float32Array; width: number },
  texts: StudentTexts,
): Promise<Distillation> {
  const rng = seededRng(seed);
  const weights: Map<string, NamedTensor> = initialTensors(
    [...encoderSpecs(config), ...poolerSpecs(config)],
    config,
    rng,
  );
  const means = await openTeacher(engine, teacher);
  const words = (weights.get('bert.embeddings.word_embeddings.weight') as NamedTensor).data;
  const from = { tokenizer: teacher.tokenizer, means, space };
  words.set(await teacherStart(tokenizer, from, { width: config.hiddenSize, rms: START_RMS }, rng));
  await means.dispose();
  const model = await createDistillation({ engine, config, weights, targetWidth: width, loss: LOSS, rng });
  model.setTrainable(await fitMaps(model, targets, width, config.hiddenSize, texts, seed));
  return model;
}

/** The two maps by ridge regression from the untrained student's means. */
async function fitMaps(
  model: Distillation,
  targets: Float32Array,
  width: number,
  hidden: number,
  texts: StudentTexts,
  seed: string,
): Promise<Float32Array> {
  const first: Float32Array[] = [];
  const last: Float32Array[] = [];
  const rows: number[] = [];
  for (const chosen of texts.pass(`${seed} maps`)) {
    if (rows.length >= FITTED_TEXTS / 2) break;
    const means = await model.means(texts.batch(chosen));
    first.push(means.first);
    last.push(means.last);
    rows.push(...chosen.texts);
  }
  // A cosine does not see the scale of a map, but the optimizer's steps do: targets of one a number, not of one a row.
  const outputs = rowsOf(targets, width, rows).map((x) => x * Math.sqrt(width));
  const maps = new Map([
    [MAP_FIRST, ridge(joined(first), hidden, outputs, width, 1e-2)],
    [MAP_LAST, ridge(joined(last), hidden, outputs, width, 1e-2)],
  ]);
  const flat = model.trainable();
  for (const { name, offset } of model.trainableLayout.entries) {
    for (const [module, { weight, bias }] of maps) {
      if (name === `${module}.weight`) flat.set(weight, offset);
      if (name === `${module}.bias`) flat.set(bias, offset);
    }
  }
  return flat;
}

function rowsOf(rows: Float32Array, width: number, indices: readonly number[]): Float32Array {
  const out = new Float32Array(indices.length * width);
  for (const [at, index] of indices.entries()) out.set(rows.subarray(index * width, (index + 1) * width), at * width);
  return out;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function noBatch(texts: number, steps: number): TacitError<PretrainingErrorCode> {
  return new TacitError('PRETRAIN_INVALID', `${texts} texts and ${steps} steps make no training`, {
    fix: 'Give at least one step and some hundred texts.',
  });
}
