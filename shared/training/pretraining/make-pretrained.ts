import { seededRng } from '../../core/rng.ts';
import { type CheckpointOptions, finishCheckpoint, newCheckpoint } from './checkpoint.ts';
import { type PretrainingRecipe, type PretrainingStep, pretrain } from './pretrain.ts';
import type { TrainerState } from './trainer.ts';

export interface PretrainedOptions extends CheckpointOptions, PretrainingRecipe {
  /** Of a run with the same options that was stopped. */
  readonly state?: TrainerState;
  readonly onStep?: (step: PretrainingStep) => void;
  readonly signal?: AbortSignal;
}

/** A finished checkpoint, or what the next run goes on from. */
export type CheckpointRun = {
  /** Pieces of the corpus. */
  readonly pieces: number;
} & ({ readonly files: Map<string, Uint8Array> } | { readonly state: TrainerState | undefined });

/**
 * From public text to a small BERT: WordPiece vocabulary, masked-LM and next-sentence training, and the public
 * whitening of its mean head over the embedding layer and all blocks.
 * @throws VOCABULARY_SIZE, VOCABULARY_EMPTY, CORPUS_EMPTY, PRETRAIN_INVALID, BERT_CONFIG_INVALID, BERT_NOT_FINITE
 */
export async function makePretrained(options: PretrainedOptions): Promise<CheckpointRun> {
  const made = newCheckpoint(options);
  options.onStage?.('training');
  const { weights, state } = await pretrain({ ...options, ...made, rng: seededRng(options.seed) });
  const pieces = made.corpus.pieces.length;
  return state === undefined ? { pieces, files: await finishCheckpoint(options, made, weights) } : { pieces, state };
}
