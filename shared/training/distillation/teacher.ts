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
const LONGEST = 128;

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
  const tokens = LENGTH_STEP * (1 + uniformInt(rng, LONGEST / LENGTH_STEP));
  return segmentBatch(corpus, BLOCK_TEXTS, tokens, rng, Math.max(8, tokens - LENGTH_STEP - 1));
}

/** Runs the teacher on texts; the only thing a student ever sees of it. */
export async function openTeacher(engine: Engine, { config, weights }: Teacher) {
  const shape = { batch: BLOCK_TEXTS, tokens: LONGEST };
  const layers = targetLayers(config);
  return createLayerMeans({ engine, config, weights, layers, shape, rng: seededRng('teacher') });
}

/** Numbers that the teacher's outputs for one block have. */
export function numbersPerBlock(config: BertConfig): number {
  return BLOCK_TEXTS * targetLayers(config).length * config.hiddenSize;
}
