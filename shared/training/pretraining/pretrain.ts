import type { BertConfig } from '../../bert/config.ts';
import { encoderSpecs, initialTensors, poolerSpecs } from '../../bert/parameters.ts';
import { createPretraining, type Pretraining } from '../../bert/pretraining.ts';
import { TacitError } from '../../core/errors.ts';
import type { Rng } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Layout } from '../../tensor/layout.ts';
import type { NamedTensor, Weights } from '../../tensor/named.ts';
import { createOptimizer } from '../optimizers.ts';
import { learningRateAt } from '../schedules.ts';
import { pretrainingBatches } from './batches.ts';
import type { EncodedCorpus, PretrainingErrorCode } from './corpus.ts';
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
  readonly onStep?: (step: PretrainingStep) => void;
  /** Ends after the current step; what was learnt is returned. */
  readonly signal?: AbortSignal;
}

export interface PretrainResult {
  /** Of a bare `BertModel` with pooler; the pre-training heads are left behind. */
  readonly weights: Weights;
  readonly history: readonly PretrainingStep[];
}

const WARM_UP_SHARE = 0.06;
const MASKED_SHARE = 0.15;
/** Longest gradient of a step, as BERT's own training had it. */
const GRADIENT_CLIP = 1;

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
  const weights = startWeights(options);
  const shape = { batch, tokens, masked: most };
  const model = await createPretraining({ engine, config, weights, shape, nextSentence: true, rng });
  const masking = { share: MASKED_SHARE, most, wholeWords: options.wholeWords ?? true };
  const batches = pretrainingBatches(corpus, { batch, tokens, ...masking }, rng);
  const train = stepper(model, options);
  const history: PretrainingStep[] = [];
  for (let step = 0; step < steps && signal?.aborted !== true; step++) {
    const next = batches.next();
    if (next.done === true) throw noPairs();
    const { maskedLoss, nextSentenceLoss } = await train(next.value, step);
    const done = { step: step + 1, steps, maskedLoss, nextSentenceLoss };
    history.push(done);
    onStep?.(done);
  }
  const trained = model.weightsNow();
  await model.dispose();
  return { weights: new Map([...trained].filter(([name]) => name.startsWith('bert.'))), history };
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

function stepper(model: Pretraining, { steps, learningRate = 1e-3, weightDecay = 0.01 }: PretrainOptions) {
  const optimizer = createOptimizer({ kind: 'adamw', weightDecay });
  const warmupSteps = Math.ceil(steps * WARM_UP_SHARE);
  const schedule = { kind: 'linear', learningRate, warmupSteps, totalSteps: steps } as const;
  const decayed = decays(model.trainableLayout);
  const parameters = model.trainable();
  const gradient = new Float32Array(parameters.length);
  return async (batch: Parameters<Pretraining['gradients']>[0], step: number) => {
    const losses = await model.gradients(batch, { into: gradient });
    clip(gradient);
    // Step 0 of a warm-up has rate 0: it would be a step lost.
    optimizer.step(parameters, gradient, learningRateAt(schedule, Math.max(step, Math.min(1, warmupSteps))), decayed);
    model.setTrainable(parameters);
    return losses;
  };
}

function decays(layout: Layout): Uint8Array {
  const out = new Uint8Array(layout.length);
  for (const { name, offset, length } of layout.entries) {
    if (name.endsWith('.weight') && !name.includes('LayerNorm')) out.fill(1, offset, offset + length);
  }
  return out;
}

function clip(gradient: Float32Array): void {
  let squares = 0;
  for (let i = 0; i < gradient.length; i++) squares += (gradient[i] as number) ** 2;
  const factor = GRADIENT_CLIP / Math.sqrt(squares);
  if (factor < 1) for (let i = 0; i < gradient.length; i++) gradient[i] = (gradient[i] as number) * factor;
}

function noPairs(): TacitError<PretrainingErrorCode> {
  return new TacitError('PRETRAIN_INVALID', 'the corpus makes no pair of sentences', {
    fix: 'Give documents of more than one sentence.',
  });
}
