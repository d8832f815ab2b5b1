import type { BertConfig } from '../../bert/config.ts';
import { encoderSpecs, initialTensors, poolerSpecs } from '../../bert/parameters.ts';
import { createPretraining } from '../../bert/pretraining.ts';
import { TacitError } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { NamedTensor, Weights } from '../../tensor/named.ts';
import { pretrainingBatches } from './batches.ts';
import type { EncodedCorpus, PretrainingErrorCode } from './corpus.ts';
import { Trainer, type TrainerState } from './trainer.ts';
import { wordStart } from './word-start.ts';

export interface PretrainingStep {
  /** 1, 2, … */
  readonly step: number;
  readonly steps: number;
  /** Mean over the batch's predicted pieces, in nats. */
  readonly maskedLoss: number;
  readonly nextSentenceLoss: number;
}

/** What decides the result; with the corpus and the config it gives the same weights on the same engine. */
export interface PretrainingRecipe {
  readonly steps: number;
  /** Examples in one step. Default 32. */
  readonly batch?: number;
  /** Pieces in one example, special ones included. Default 128. */
  readonly tokens?: number;
  /** Highest learning rate, after 6 % of the steps; then down a line to 0. Default 1e-3. */
  readonly learningRate?: number;
  /** Default 0.01; not on biases and layer norms. */
  readonly weightDecay?: number;
  /** Predict words in full. Default true. */
  readonly wholeWords?: boolean;
  /** Start the word embeddings from the corpus' own statistics (word-start.ts). Default true. */
  readonly wordStart?: boolean;
}

export interface PretrainOptions extends PretrainingRecipe {
  readonly engine: Engine;
  readonly config: BertConfig;
  readonly corpus: EncodedCorpus;
  readonly rng: Rng;
  /** To go on from, of a run with the same options. */
  readonly state?: TrainerState;
  readonly onStep?: (step: PretrainingStep) => void;
  /** Ends after the current step. */
  readonly signal?: AbortSignal;
}

export interface PretrainResult {
  /** Of a bare `BertModel` with pooler; the pre-training heads are left behind. */
  readonly weights: Weights;
  /** What the next run goes on from; absent when the last step was taken. */
  readonly state?: TrainerState;
}

const MASKED_SHARE = 0.15;

/**
 * Trains a BERT from nothing on public text by masked LM and next sentence (Devlin et al. 2019, §3.1) with AdamW.
 * @throws PRETRAIN_INVALID for a recipe or corpus that makes no batch, BERT_NOT_FINITE when the loss diverges
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { engine, config, corpus, rng, steps, batch = 32, tokens = 128, signal, onStep } = options;
  if (!(Number.isInteger(steps) && steps >= 0) || tokens < 8 || tokens > config.maxPositions) {
    throw new TacitError<PretrainingErrorCode>('PRETRAIN_INVALID', `cannot train ${steps} steps of ${tokens} tokens`, {
      fix: `Give a number of steps, and from 8 to ${config.maxPositions} tokens.`,
    });
  }
  const most = Math.ceil(tokens * MASKED_SHARE);
  const start = startWeights(options);
  const shape = { batch, tokens, masked: most };
  const model = await createPretraining({ engine, config, weights: start, shape, nextSentence: true, rng });
  const masking = { share: MASKED_SHARE, most, wholeWords: options.wholeWords ?? true };
  const batches = pretrainingBatches(corpus, { batch, tokens, ...masking }, rng);
  const trainer = new Trainer({
    layout: model.trainableLayout,
    parameters: model.trainable(),
    steps,
    learningRate: options.learningRate ?? 1e-3,
    weightDecay: options.weightDecay ?? 0.01,
    ...(options.state === undefined ? {} : { state: options.state }),
  });
  model.setTrainable(trainer.parameters);
  // What earlier steps drew is drawn again: the same batches follow as in a run that was never stopped.
  for (let step = 0; step < trainer.step; step++) batches.next();
  const gradient = new Float32Array(trainer.parameters.length);
  while (trainer.step < steps && signal?.aborted !== true) {
    const next = batches.next();
    if (next.done === true) throw noPairs();
    const { maskedLoss, nextSentenceLoss } = await model.batchGradients(next.value, { into: gradient });
    trainer.take(gradient);
    model.setTrainable(trainer.parameters);
    onStep?.({ step: trainer.step, steps, maskedLoss, nextSentenceLoss });
  }
  const trained = model.weightsNow();
  await model.dispose();
  const weights = new Map([...trained].filter(([name]) => name.startsWith('bert.')));
  return { weights, ...(trainer.step === steps ? {} : { state: trainer.state() }) };
}

function startWeights({ config, corpus, rng, wordStart: wanted = true }: PretrainOptions): Map<string, NamedTensor> {
  const weights = initialTensors([...encoderSpecs(config), ...poolerSpecs(config)], config, rng);
  if (!wanted) return weights;
  const words = (weights.get('bert.embeddings.word_embeddings.weight') as NamedTensor).data;
  for (const [at, value] of wordStart(corpus, { width: config.hiddenSize }, rng).entries()) {
    // A piece without neighbours (and every special one) keeps its drawn numbers.
    if (value !== 0) words[at] = value;
  }
  return weights;
}

function noPairs(): TacitError<PretrainingErrorCode> {
  return new TacitError('PRETRAIN_INVALID', 'the corpus makes no pair of sentences', {
    fix: 'Give documents of more than one sentence.',
  });
}
