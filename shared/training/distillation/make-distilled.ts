import type { Tokenizer } from '../../text/tokenizer.ts';
import { type CheckpointOptions, finishCheckpoint, newCheckpoint } from '../pretraining/checkpoint.ts';
import { encodeCorpus } from '../pretraining/corpus.ts';
import type { CheckpointRun } from '../pretraining/make-pretrained.ts';
import type { TrainerState } from '../pretraining/trainer.ts';
import { type DistillationRecipe, type DistillationStep, distil, type TeacherOutputs } from './distil.ts';
import type { Teacher } from './teacher.ts';

export interface DistilledOptions extends CheckpointOptions, DistillationRecipe {
  readonly teacher: Teacher & { readonly tokenizer: Tokenizer };
  readonly outputs: TeacherOutputs;
  /** Of a run with the same options that was stopped. */
  readonly state?: TrainerState;
  readonly onBlock?: (done: number, of: number) => void;
  readonly onStep?: (step: DistillationStep) => void;
  readonly signal?: AbortSignal;
}

/**
 * From public text and a bigger checkpoint to a small BERT with a vocabulary of its own: the teacher's outputs are all
 * that is taken of it.
 * @throws VOCABULARY_SIZE, VOCABULARY_EMPTY, CORPUS_EMPTY, PRETRAIN_INVALID, BERT_CONFIG_INVALID, BERT_NOT_FINITE
 */
export async function makeDistilled(options: DistilledOptions): Promise<CheckpointRun> {
  const made = newCheckpoint(options);
  const result = await distil({
    ...options,
    corpus: encodeCorpus(options.texts, options.teacher.tokenizer),
    student: made,
  });
  const pieces = made.corpus.pieces.length;
  return result === undefined || result.state !== undefined
    ? { pieces, state: result?.state }
    : { pieces, files: await finishCheckpoint(options, made, result.weights) };
}
