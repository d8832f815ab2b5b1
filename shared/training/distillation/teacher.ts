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
export const LONGEST_TEXT = 256;
/** Every second block stays below, so that there are more different texts for the same pieces. */
const LONGEST_SHORT_TEXT = 128;

/** What the teacher is and where its sentence space is read: the embedding layer and the two upper blocks. */
export interface Teacher {
  readonly config: BertConfig;
  readonly weights: Weights;
}

/** Layers whose means are the targets. */
export function targetLayers({ layers }: BertConfig): readonly number[] {
  return layers === 1 ? [0, 1] : [0, layers - 1, layers];
}

/** Block n of the training texts, in the teacher's pieces: the same for a seed whatever was drawn before. */
export function textBlock(corpus: EncodedCorpus, seed: string, block: number): SegmentBatch {
  const rng = seededRng(`${seed} texts ${block}`);
  const longest = uniformInt(rng, 2) === 0 ? LONGEST_SHORT_TEXT : LONGEST_TEXT;
  const tokens = LENGTH_STEP * (1 + uniformInt(rng, longest / LENGTH_STEP));
  return segmentBatch(corpus, BLOCK_TEXTS, tokens, rng, Math.max(8, tokens - LENGTH_STEP - 1));
}

/** Runs the teacher on texts; the only thing a student ever sees of it. */
export async function openTeacher(engine: Engine, { config, weights }: Teacher) {
  const shape = { batch: BLOCK_TEXTS, tokens: LONGEST_TEXT };
  const layers = targetLayers(config);
  return createLayerMeans({ engine, config, weights, layers, shape, rng: seededRng('teacher') });
}

/** Numbers that the teacher's outputs for one block have. */
export function numbersPerBlock(config: BertConfig): number {
  return BLOCK_TEXTS * targetLayers(config).length * config.hiddenSize;
}
