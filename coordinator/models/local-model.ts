import { isPretraining, type ModelDirectory, readModelDirectory } from '../../shared/bert/directory.ts';
import type { BertErrorCode } from '../../shared/bert/errors.ts';
import { type BertTask, createBert } from '../../shared/bert/model.ts';
import { createPretraining } from '../../shared/bert/pretraining.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { systemRng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { openTokenizer } from '../../shared/protocol/stage-model.ts';
import { logitsOf } from '../../shared/training/evaluate.ts';
import { type FilledMask, fillMasks } from '../../shared/training/pretraining/fill-masks.ts';
import type { Prediction } from '../service.ts';
import { readModelFiles } from './model-files.ts';

/** The task that a checkpoint says its numbers are for (`problem_type`). */
export function taskOf({ config }: ModelDirectory): BertTask {
  const type = config.raw['problem_type'];
  if (type === 'regression') return 'regression';
  return type === 'multi_label_classification' ? 'multi_label' : 'single_label';
}

/** @throws FILE_*, HUB_*, BERT_*, SAFETENSORS_* */
export async function readLocalModel(from: string): Promise<ModelDirectory> {
  return readModelDirectory(await readModelFiles(from));
}

/**
 * How many labels the classifier has.
 * @throws BERT_WEIGHTS_MISSING for a model without a classifier, BERT_UNSUPPORTED for a classifier of tokens or answers,
 * BERT_CONFIG_INVALID where the config names another number of labels
 */
export function requireClassifier({ config, weights }: ModelDirectory, where: string): number {
  const labels = weights.get('classifier.weight')?.shape[0];
  if (labels === undefined) {
    throw new TacitError('BERT_WEIGHTS_MISSING', 'the checkpoint has no tensor classifier.weight', {
      where,
      fix: 'It was not trained for a task yet: "tacit train" does that.',
    });
  }
  const [architecture] = [config.raw['architectures']].flat();
  if (
    typeof architecture === 'string' &&
    /^BertFor(TokenClassification|QuestionAnswering|MultipleChoice)$/.test(architecture)
  ) {
    throw new TacitError<BertErrorCode>('BERT_UNSUPPORTED', `architectures ${architecture} is not supported`, {
      where,
      fix: 'Use a BertForSequenceClassification.',
    });
  }
  const named = config.labelNames?.length ?? labels;
  if (named === labels) return labels;
  throw new TacitError<BertErrorCode>(
    'BERT_CONFIG_INVALID',
    `id2label names ${named} labels, classifier.weight has ${labels} rows`,
    { where, fix: 'Write one name for each row in config.json.' },
  );
}

/** Label and scores of each text: probabilities, or for regression the numbers themselves. */
export async function predictLocally(from: string, texts: readonly string[], engine: Engine): Promise<Prediction[]> {
  const directory = await readLocalModel(from);
  const { config, weights, head, tokenizer } = directory;
  if (isPretraining(directory)) return fillLocally(directory, from, texts, engine);
  const labels = requireClassifier(directory, from);
  const names = config.labelNames ?? Array.from({ length: labels }, (_, i) => `LABEL_${i}`);
  const task = taskOf(directory);
  const pieces = openTokenizer(tokenizer);
  const shape = { batch: Math.min(16, Math.max(1, texts.length)), tokens: Math.min(512, config.maxPositions) };
  const bert = await createBert({
    engine,
    config,
    weights,
    head,
    labels,
    task,
    trainable: 'head',
    shape,
    rng: systemRng,
  });
  try {
    const examples = texts.map((text) => ({ ids: pieces.encode(text, shape.tokens).ids, label: 0 }));
    const logits = await logitsOf(bert, examples, labels, shape);
    if (!logits.every(Number.isFinite)) {
      throw new TacitError<BertErrorCode>('BERT_NOT_FINITE', 'the model gives a score that is not finite', {
        where: from,
        fix: '"tacit model inspect" says which tensor is broken.',
      });
    }
    return texts.map((_, i) => prediction(task, names, logits.subarray(i * labels, (i + 1) * labels)));
  } finally {
    await bert.dispose();
  }
}

async function fillLocally(
  { config, weights, tokenizer }: ModelDirectory,
  where: string,
  texts: readonly string[],
  engine: Engine,
): Promise<Prediction[]> {
  if (config.raw['tie_word_embeddings'] === false) {
    throw new TacitError<BertErrorCode>('BERT_UNSUPPORTED', 'its decoder is not tied to its word embeddings', {
      where,
      fix: 'Use a checkpoint with tie_word_embeddings, as every BERT has it.',
    });
  }
  const tokens = Math.min(512, config.maxPositions);
  const shape = { batch: Math.min(16, Math.max(1, texts.length)), tokens, masked: Math.ceil(0.15 * tokens) };
  const bert = await createPretraining({ engine, config, weights, shape, nextSentence: false, rng: systemRng });
  try {
    return (await fillMasks(bert, openTokenizer(tokenizer), texts, shape)).map(filled);
  } finally {
    await bert.dispose();
  }
}

/** What fills the masks of one text, as a prediction. */
export function filled(masks: readonly FilledMask[]): Prediction {
  const label = masks.map((pieces) => Object.keys(pieces)[0]).join(' ');
  return { label, scores: masks[0] ?? {}, masks };
}

/** What one text's logits say. Multi-label: every label of probability above one half, joined by `;`. */
export function prediction(task: BertTask, names: readonly string[], logits: Float32Array): Prediction {
  const most = Math.max(...logits);
  const total = logits.reduce((sum, z) => sum + Math.exp(z - most), 0);
  const score = (z: number): number => {
    if (task === 'regression') return z;
    return task === 'multi_label' ? 1 / (1 + Math.exp(-z)) : Math.exp(z - most) / total;
  };
  const scores = Object.fromEntries(names.map((name, i) => [name, score(logits[i] as number)]));
  const chosen =
    task === 'multi_label'
      ? names.filter((_, i) => (logits[i] as number) > 0)
      : [names[logits.indexOf(most)] as string];
  return { label: chosen.join(';'), scores };
}
