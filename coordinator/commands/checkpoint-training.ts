import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { TacitError } from '../../shared/core/errors.ts';
import { type CommandLineErrorCode, openTerminal, type Terminal } from '../../shared/node/command-line.ts';
import { writeDirectoryFiles } from '../../shared/node/directory-files.ts';
import type { DocumentErrorCode } from '../../shared/node/documents.ts';
import { formatBytes, formatSeconds } from '../../shared/node/format.ts';
import { PartialRun } from '../../shared/node/partial-run.ts';
import type { CheckpointStage } from '../../shared/training/pretraining/checkpoint.ts';
import type { CheckpointRun } from '../../shared/training/pretraining/make-pretrained.ts';
import type { TrainerState } from '../../shared/training/pretraining/trainer.ts';
import { untilInterrupted } from './interrupt.ts';

/** Options that both ways to a new checkpoint have. */
export interface CheckpointFlags {
  readonly text: readonly string[];
  readonly out: string;
  readonly seed: string;
  readonly vocabulary: string;
  readonly width: string;
  readonly layers: string;
  readonly steps: string;
  readonly learningRate: string;
  readonly json?: true;
}

export function withCheckpointFlags(command: Command, steps: number, learningRate: string): Command {
  return command
    .requiredOption('--text <files...>', 'public text: a paragraph a line, an empty line between documents')
    .requiredOption('--out <dir>', 'a new directory; what a stopped run goes on from is kept beside it')
    .option('--seed <word>', 'the only source of chance', 'tacit')
    .option('--vocabulary <pieces>', 'size of the WordPiece vocabulary, learnt from the text', '8192')
    .option('--width <n>', 'hidden size', '128')
    .option('--layers <n>', 'encoder blocks', '2')
    .option('--steps <n>', 'training steps', String(steps))
    .option('--learning-rate <x>', 'highest rate, after 6 % of the steps', learningRate)
    .option('--json', 'one object a line');
}

/** A whole number above 0. @throws USAGE */
export function count(flag: string, value: string): number {
  const n = Number(value);
  if (Number.isInteger(n) && n >= 1) return n;
  throw new TacitError<CommandLineErrorCode>('USAGE', `${flag} ${value} is not a whole number above 0`);
}

/** A number above 0. @throws USAGE */
export function positive(flag: string, value: string): number {
  const n = Number(value);
  if (Number.isFinite(n) && n > 0) return n;
  throw new TacitError<CommandLineErrorCode>('USAGE', `${flag} ${value} is not a number above 0`);
}

/** The parts of a recipe that both have, as numbers. @throws USAGE */
export function sharedRecipe(flags: CheckpointFlags) {
  return {
    seed: flags.seed,
    vocabularySize: count('--vocabulary', flags.vocabulary),
    hiddenSize: count('--width', flags.width),
    layers: count('--layers', flags.layers),
    steps: count('--steps', flags.steps),
    learningRate: positive('--learning-rate', flags.learningRate),
  };
}

/** What a training gets from the command line, and tells it. */
export interface TrainingShell {
  readonly texts: readonly string[];
  readonly state?: TrainerState;
  readonly signal: AbortSignal;
  /** The folder of the stopped run. */
  readonly folder: string;
  onStage(stage: CheckpointStage): void;
  /** Progress of a count within a stage, with the time left. */
  onCount(what: string, done: number, of: number): void;
  onLoss(step: number, steps: number, loss: number, more: string): void;
}

/**
 * Runs a training to its end, or to Ctrl-C: then what the same command goes on from is saved, and the losses are those
 * of a run that was never stopped.
 * @throws FILE_EXISTS, FILE_MISSING, TRAINING_STATE_INVALID, and what the training throws
 */
export async function trainCheckpoint(
  flags: CheckpointFlags,
  recipe: Readonly<Record<string, unknown>>,
  train: (shell: TrainingShell) => Promise<CheckpointRun>,
): Promise<void> {
  const terminal = openTerminal(flags.json === true);
  if (existsSync(flags.out)) {
    throw new TacitError('FILE_EXISTS', 'there is such a directory already', {
      where: flags.out,
      fix: 'Name a new one.',
    });
  }
  const texts = await Promise.all(flags.text.map(readText));
  const textSha256 = createHash('sha256').update(texts.join('\0')).digest('hex');
  const partial = await PartialRun.open(`${flags.out}.partial`, { ...recipe, textSha256 });
  const losses = [...partial.losses];
  if (partial.state !== undefined) {
    terminal.say(`going on after step ${partial.state.step}, from ${partial.folder}`);
    terminal.emit({ event: 'resumed', step: partial.state.step });
  }
  await untilInterrupted(async (signal) => {
    const progress = progressOf(terminal, losses);
    const state = partial.state === undefined ? {} : { state: partial.state };
    const run = await train({ texts, signal, folder: partial.folder, ...state, ...progress });
    if ('files' in run) {
      const facts = { recipe, textSha256, pieces: run.pieces, losses };
      const files = new Map([...run.files, ['training.json', Buffer.from(`${JSON.stringify(facts)}\n`)] as const]);
      await writeDirectoryFiles(flags.out, files);
      await partial.remove();
      const bytes = run.files.get('model.safetensors')?.length ?? 0;
      terminal.say(`${flags.out}: ${formatBytes(bytes)} of weights, after ${losses.length} steps`);
      terminal.emit({ event: 'made', out: flags.out, modelBytes: bytes, steps: losses.length });
      return;
    }
    if (run.state !== undefined) await partial.save(run.state, losses);
    terminal.say(`stopped after step ${run.state?.step ?? 0}; the same command goes on from ${partial.folder}`);
    terminal.emit({ event: 'stopped', step: run.state?.step ?? 0, folder: partial.folder });
  });
}

/** A line for people about every fifty steps, and a moving one where somebody watches. */
function progressOf(terminal: Terminal, losses: number[]): Pick<TrainingShell, 'onStage' | 'onCount' | 'onLoss'> {
  const left = timeLeft();
  return {
    onStage(stage) {
      left.restart();
      terminal.say(stage);
      terminal.emit({ event: 'stage', stage });
    },
    onCount(what, done, of) {
      const line = `${what} ${done}/${of}, ${left.after(done, of)}`;
      terminal.status(line);
      if (done % 50 === 0 || done === of) {
        if (!terminal.live) terminal.say(line);
        terminal.emit({ event: 'progress', what, done, of });
      }
    },
    onLoss(step, steps, loss, more) {
      losses.push(loss);
      const line = `step ${step}/${steps}: loss ${loss.toFixed(4)}${more}, ${left.after(step, steps)}`;
      terminal.status(line);
      if (step % 50 === 0 || step === steps) terminal.say(line);
      terminal.emit({ event: 'step', step, steps, loss });
    },
  };
}

/** Estimates from the pace since the stage began, or since the first count when it is gone on with. */
function timeLeft() {
  let from: { readonly at: number; readonly done: number } | undefined;
  return {
    restart(): void {
      from = undefined;
    },
    after(done: number, of: number): string {
      const now = performance.now();
      from ??= { at: now, done };
      if (done === from.done) return 'time left not known yet';
      return `about ${formatSeconds(((now - from.at) / 1000 / (done - from.done)) * (of - done))} left`;
    },
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TacitError<DocumentErrorCode>('FILE_MISSING', 'the text cannot be read', {
      where: path,
      fix: 'Name a text file.',
      cause,
    });
  }
}
