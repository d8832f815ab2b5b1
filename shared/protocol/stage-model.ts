import type { BertConfig } from '../bert/config.ts';
import { type ModelDirectory, type ModelFiles, readModelDirectory, TOKENIZER_FILES } from '../bert/directory.ts';
import { type Bert, type BertTask, createBert, type Trainable } from '../bert/model.ts';
import { createPretraining, type Pretraining } from '../bert/pretraining.ts';
import { fromUtf8 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Engine } from '../engine/engine.ts';
import { readWeights } from '../tensor/safetensors.ts';
import { createTokenizer, type Tokenizer } from '../text/tokenizer.ts';
import { normaliserSettings } from '../text/tokenizer-settings.ts';
import type { BatchShape } from '../training/batches.ts';
import { BERT_TASK } from '../training/task-metrics.ts';
import type { ProtocolErrorCode } from './errors.ts';
import { headOf, labelsOf, type Plan, type PlanStage } from './plan.ts';
import { readingOptions } from './plan-examples.ts';

/** Rows of a micro-batch: enough to keep a core busy, small enough for a phone. */
const BATCH_ROWS = 16;

/** A model ready to train, of the kind that the plan's task needs. */
export type StageModel = {
  readonly directory: ModelDirectory;
  readonly shape: BatchShape;
} & (
  | { readonly kind: 'labelled'; readonly bert: Bert; readonly task: BertTask }
  | {
      readonly kind: 'pretraining';
      readonly bert: Pretraining;
      /** Most hidden pieces in a reading. */
      readonly masked: number;
    }
);

export function batchShape(plan: Pick<Plan, 'model'>): BatchShape {
  return { batch: BATCH_ROWS, tokens: plan.model.maxTokens };
}

/**
 * The model of one stage, the same on the coordinator and on every participant: the starting directory, what earlier
 * stages brought on top, and the stage's own trainable part.
 * @param overlays - safetensors files, oldest first
 * @param rng - draws what neither the directory nor an overlay has; only the coordinator's draw is ever published
 * @throws BERT_*, SAFETENSORS_INVALID, PLAN_INVALID when the directory has another head than the plan says
 */
export async function openStageModel(options: {
  readonly engine: Engine;
  readonly files: ModelFiles;
  readonly overlays: readonly Uint8Array[];
  readonly plan: Plan;
  readonly stage: number;
  readonly rng: Rng;
}): Promise<StageModel> {
  const { engine, files, overlays, plan, rng } = options;
  const directory = readModelDirectory(files);
  const stage = plan.stages[options.stage] as PlanStage;
  const weights = new Map(directory.weights);
  for (const bytes of overlays) for (const [name, tensor] of readWeights(bytes, 'overlay')) weights.set(name, tensor);
  const shape = batchShape(plan);
  const common = { engine, config: configOf(directory, stage), weights, trainable: trainableOf(stage), rng };
  if (plan.task.kind === 'pretraining') {
    requireTied(directory);
    const { masking, nextSentence } = readingOptions({ task: plan.task, model: plan.model });
    if (!plan.task.trainHead) requireHeads(directory, nextSentence);
    const { trainHead } = plan.task;
    const masked = masking.most;
    const bert = await createPretraining({ ...common, shape: { ...shape, masked }, nextSentence, trainHead });
    return { kind: 'pretraining', bert, masked, directory, shape };
  }
  const head = headOf(plan);
  if (head === 'mean' && directory.head !== 'mean') {
    throw new TacitError<ProtocolErrorCode>('PLAN_INVALID', 'the model has no public whitening for a mean head', {
      where: 'model.head',
      fix: 'Write head: pooler, or start from a model directory with a mean head.',
    });
  }
  const task = BERT_TASK[plan.task.kind];
  const bert = await createBert({ ...common, shape, head, labels: labelsOf(plan).length, task });
  return { kind: 'labelled', bert, task, directory, shape };
}

/** @throws PLAN_INVALID where a head would stay as it was drawn */
function requireHeads({ weights }: ModelDirectory, nextSentence: boolean): void {
  const ofPairs = nextSentence ? ['bert.pooler.dense.weight', 'cls.seq_relationship.weight'] : [];
  const missing = ['cls.predictions.transform.dense.weight', ...ofPairs].filter((name) => !weights.has(name));
  if (missing.length === 0) return;
  const head = missing[0]?.startsWith('cls.predictions') ? 'masked-LM' : 'next-sentence';
  throw new TacitError<ProtocolErrorCode>('PLAN_INVALID', `the model has no ${head} head that could stay as it is`, {
    where: 'task.trainHead',
    fix: 'Let the head train, or start from a checkpoint that has one.',
  });
}

/** @throws PLAN_INVALID for a decoder of its own, which would be trained as if it were the word embeddings */
function requireTied({ config }: ModelDirectory): void {
  if (config.raw['tie_word_embeddings'] !== false) return;
  throw new TacitError<ProtocolErrorCode>('PLAN_INVALID', 'the model does not tie its decoder to its word embeddings', {
    where: 'model.from',
    fix: 'Pre-train a checkpoint with tie_word_embeddings, as every BERT has it.',
  });
}

/** The files of a model directory that a tokenizer is made of. */
export function tokenizerFilesOf(files: ModelFiles): Map<string, Uint8Array> {
  return new Map([...files].filter(([path]) => TOKENIZER_FILES.includes(path)));
}

/** From `tokenizer.json`, else from `vocab.txt` and its settings. @throws TOKENIZER_INVALID, TOKENIZER_UNSUPPORTED, BERT_DIRECTORY_INVALID */
export function openTokenizer(files: ModelFiles): Tokenizer {
  const description = files.get('tokenizer.json');
  if (description !== undefined) return createTokenizer({ tokenizerJson: fromUtf8(description) });
  const vocabulary = files.get('vocab.txt');
  const settings = files.get('tokenizer_config.json');
  if (vocabulary !== undefined)
    return createTokenizer({
      vocabulary: fromUtf8(vocabulary),
      ...(settings === undefined ? {} : normaliserSettings(fromUtf8(settings))),
    });
  throw new TacitError('BERT_DIRECTORY_INVALID', 'the model has neither tokenizer.json nor vocab.txt', {
    fix: 'Give a whole Hugging Face model directory.',
  });
}

/** Dropout at the stage's rate, whatever the checkpoint was trained with; it drops only where a step has a seed. */
function configOf({ config }: ModelDirectory, stage: PlanStage): BertConfig {
  const rate = 'local' in stage && 'dropout' in stage.local ? stage.local.dropout : 0;
  return { ...config, hiddenDropout: rate, attentionDropout: rate, classifierDropout: rate };
}

/** What a stage trains, in the engine's words. */
export function trainableOf({ train }: Pick<PlanStage, 'train'>): Trainable {
  if (typeof train === 'string' || 'layers' in train) return train;
  const { layers, ...spec } = train.lora;
  return { lora: layers === undefined ? spec : { ...spec, layers } };
}
