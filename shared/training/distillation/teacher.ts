import type { BertConfig } from '../../bert/config.ts';
import { seededRng, uniformInt } from '../../core/rng.ts';
import type { Engine } from '../../engine/engine.ts';
import type { Weights } from '../../tensor/named.ts';
import type { EncodedCorpus } from '../pretraining/corpus.ts';
import { createLayerMeans } from '../pretraining/layer-means.ts';
import { type SegmentBatch, segmentBatch } from '../pretraining/segments.ts';

/** Texts in one block: of about one length, so that little is padding. */
export const BLOCK_TEXTS = 32;
/** Lengths of a block are multiples of this, special pieces included. */
const LENGTH_STEP = 16;
/** Pieces of the longest text, special ones included: what a plan usually lets a model read. */
const LONGEST = 256;
/** Every second block stays below, so that there are more different texts for the same pieces. */
const LONGEST_SHORT = 128;

/** Pieces of the longest text that models with so many positions all read. */
export function longestText(...configs: readonly BertConfig[]): number {
  return Math.min(LONGEST, ...configs.map((c) => LENGTH_STEP * Math.floor(c.maxPositions / LENGTH_STEP)));
}

/** What the teacher is and where its sentence space is read: the embedding layer and the two upper blocks. */
export interface Teacher {
  readonly config: BertConfig;
  readonly weights: Weights;
}

/** Layers whose means are the targets. */
export function targetLayers({ layers }: BertConfig): readonly number[] {
  return layers === 1 ? [0, 1] : [0, layers - 1, layers];
}

/**
 * Block n of the training texts, in the teacher's pieces: the same for a seed whatever was drawn before.
 * @param longest a multiple of 16, from `longestText`
 */
export function textBlock(corpus: EncodedCorpus, seed: string, block: number, longest: number): SegmentBatch {
  const rng = seededRng(`${seed} texts ${block}`);
  const most = uniformInt(rng, 2) === 0 ? Math.min(LONGEST_SHORT, longest) : longest;
  const tokens = LENGTH_STEP * (1 + uniformInt(rng, most / LENGTH_STEP));
  return segmentBatch(corpus, BLOCK_TEXTS, tokens, rng, Math.max(8, tokens - LENGTH_STEP - 1));
}

/** Runs the teacher on texts; the only thing a student ever sees of it. */
export async function openTeacher(engine: Engine, { config, weights }: Teacher) {
  const shape = { batch: BLOCK_TEXTS, tokens: longestText(config) };
  const layers = targetLayers(config);
  return createLayerMeans({ engine, config, weights, layers, shape, rng: seededRng('teacher') });
}

/** Numbers that the teacher's outputs for one block have. */
export function numbersPerBlock(config: BertConfig): number {
  return BLOCK_TEXTS * targetLayers(config).length * config.hiddenSize;
}
