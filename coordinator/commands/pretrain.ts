import type { Command } from 'commander';
import { command } from '../../shared/node/command-line.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { makePretrained } from '../../shared/training/pretraining/make-pretrained.ts';
import {
  type CheckpointFlags,
  count,
  sharedRecipe,
  trainCheckpoint,
  withCheckpointFlags,
} from './checkpoint-training.ts';

interface Flags extends CheckpointFlags {
  readonly batch: string;
  readonly tokens: string;
  readonly wholeWords: boolean;
}

/** `tacit pretrain`: a small BERT from raw text by masked language modelling and next-sentence prediction. */
export function pretrainCommand(): Command {
  const about = 'make a small BERT from raw text: masked words and next sentence';
  const base = command('pretrain', about, 'tacit pretrain --text corpus/*.txt --out my-bert');
  return withCheckpointFlags(base, 1500, '1e-3')
    .option('--batch <n>', 'pairs of segments in a step', '32')
    .option('--tokens <n>', 'longest pair, in pieces', '128')
    .option('--no-whole-words', 'hide pieces one by one, not whole words')
    .action(async (flags: Flags) => {
      const recipe = {
        ...sharedRecipe(flags),
        batch: count('--batch', flags.batch),
        tokens: count('--tokens', flags.tokens),
        wholeWords: flags.wholeWords,
      };
      await trainCheckpoint(flags, { command: 'pretrain', ...recipe }, (shell) =>
        makePretrained({
          ...recipe,
          ...shell,
          engine: onnxCpuEngine(),
          onStep: ({ step, steps, maskedLoss, nextSentenceLoss }) =>
            shell.onLoss(
              step,
              steps,
              maskedLoss + nextSentenceLoss,
              ` (masked ${maskedLoss.toFixed(3)}, next ${nextSentenceLoss.toFixed(3)})`,
            ),
        }),
      );
    });
}
