import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Command } from 'commander';
import { readModelDirectory } from '../../shared/bert/directory.ts';
import { command } from '../../shared/node/command-line.ts';
import { readDirectoryFiles } from '../../shared/node/directory-files.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { teacherOutputFile } from '../../shared/node/partial-run.ts';
import { openTokenizer } from '../../shared/protocol/stage-model.ts';
import { makeDistilled } from '../../shared/training/distillation/make-distilled.ts';
import { numbersPerBlock } from '../../shared/training/distillation/teacher.ts';
import {
  type CheckpointFlags,
  count,
  sharedRecipe,
  trainCheckpoint,
  withCheckpointFlags,
} from './checkpoint-training.ts';

interface Flags extends CheckpointFlags {
  readonly teacher: string;
  readonly readings: string;
  readonly pieces: string;
}

/** A teacher with its tokenizer and vocabulary. */
const MAX_TEACHER_BYTES = 4e9;

/** `tacit distil`: a small BERT that learns the sentence space of a bigger one; only the teacher's outputs are used. */
export function distilCommand(): Command {
  const about = "make a small BERT that learns a bigger one's sentence space, on public text";
  const base = command('distil', about, 'tacit distil --teacher all-MiniLM-L6-v2 --text corpus/*.txt --out my-bert');
  return withCheckpointFlags(base, 2400, '8e-4')
    .requiredOption('--teacher <dir>', 'a Hugging Face BERT directory')
    .option('--readings <n>', 'stretches of text that the teacher reads', '40960')
    .option('--pieces <n>', 'pieces in a step, padding included', '3072')
    .action(async (flags: Flags) => {
      const recipe = {
        ...sharedRecipe(flags),
        readings: count('--readings', flags.readings),
        pieces: count('--pieces', flags.pieces),
      };
      const files = await readDirectoryFiles(flags.teacher, MAX_TEACHER_BYTES);
      const { config, weights } = readModelDirectory(files);
      const teacher = { config, weights, tokenizer: openTokenizer(files) };
      const hash = createHash('sha256').update(files.get('model.safetensors') ?? new Uint8Array());
      const identity = { command: 'distil', ...recipe, teacherSha256: hash.digest('hex') };
      await trainCheckpoint(flags, identity, async (shell) => {
        const outputs = teacherOutputFile(join(shell.folder, 'teacher.f32'), numbersPerBlock(config));
        try {
          return await makeDistilled({
            ...recipe,
            ...shell,
            engine: onnxCpuEngine(),
            teacher,
            outputs,
            onBlock: (done, of) => shell.onCount('teacher', done, of),
            onStep: ({ step, steps, loss, cosine }) =>
              shell.onLoss(step, steps, loss, ` (cosine ${cosine.toFixed(3)})`),
          });
        } finally {
          outputs.close();
        }
      });
    });
}
