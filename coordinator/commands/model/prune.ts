import type { Command } from 'commander';
import { writeModelDirectory } from '../../../shared/bert/directory.ts';
import { TacitError } from '../../../shared/core/errors.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../../shared/node/command-line.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { formatBytes, table } from '../../../shared/node/format.ts';
import {
  type PruningSchedule,
  pruneByMagnitude,
  sparsityAt,
  sparsityReport,
} from '../../../shared/training/pruning.ts';
import { readLocalModel } from '../../models/local-model.ts';
import { fineTunePruned, type PruneData } from '../../train/prune.ts';
import { write } from './directories.ts';

type Options = Readonly<Record<'sparsity' | 'steps' | 'schedule' | 'out', string>> &
  PruneData & { readonly json?: boolean };

/** `tacit model prune`: global magnitude pruning, with training between the steps where there is data. */
export function pruneCommand(): Command {
  return command(
    'prune',
    'set the smallest weights to zero, step by step, and say what it costs',
    'tacit model prune my-model --sparsity 0.5 --steps 4 --data mails.csv --out pruned',
  )
    .argument('<model>', 'a Hugging Face directory')
    .requiredOption('--sparsity <part>', "share of the linear layers' weights that becomes zero, in [0, 1)")
    .requiredOption('--out <dir>', 'a new directory')
    .option('--steps <n>', 'steps in which the share grows', '4')
    .option('--schedule <kind>', 'cubic (Zhu & Gupta 2017) or linear', 'cubic')
    .option('--data <path>', 'public records to measure on and to train on between the steps')
    .option('--text <columns>', 'column(s) of the text', 'text')
    .option('--label <column>', 'column of the label', 'label')
    .option('--label-values <pairs>', 'what values of the label column mean, e.g. 1=World,2=Sports')
    .option('--epochs <n>', 'epochs of training after each step; 0: none', '1')
    .option('--learning-rate <x>', 'of that training', '1e-4')
    .option('--json', 'one JSON object a line')
    .action(prune);
}

async function prune(from: string, options: Options): Promise<void> {
  const sparsity = Number(options.sparsity);
  const steps = Number(options.steps);
  const { schedule } = options;
  if (!(sparsity >= 0 && sparsity < 1)) throw usage('--sparsity', `"${options.sparsity}" is not in [0, 1)`);
  if (!(Number.isInteger(steps) && steps >= 1 && steps <= 100))
    throw usage('--steps', 'write a whole number from 1 to 100');
  if (schedule !== 'cubic' && schedule !== 'linear')
    throw usage('--schedule', `"${schedule}" is neither cubic nor linear`);
  const terminal = openTerminal(options.json === true);
  const model = await readLocalModel(from);
  const tuning = options.data === undefined ? undefined : await fineTunePruned(model, options, onnxCpuEngine());
  const rows = [['step', 'sparsity', 'zeros', 'loss', 'accuracy']];
  let { weights } = model;
  for (let step = 0; step <= steps; step++) {
    if (step > 0) weights = pruneByMagnitude(weights, sparsityAt(schedule as PruningSchedule, sparsity, step, steps));
    const tuned = await tuning?.(weights, step > 0);
    weights = tuned?.weights ?? weights;
    const report = sparsityReport(weights, 4);
    terminal.emit({ event: 'pruned', step, ...report, metrics: tuned?.metrics });
    const loss = tuned?.metrics.loss;
    const accuracy = tuned?.metrics['accuracy'];
    rows.push([
      String(step),
      report.sparsity.toFixed(4),
      String(report.zeros),
      loss?.toFixed(4) ?? '-',
      accuracy?.toFixed(4) ?? '-',
    ]);
  }
  for (const line of table(rows)) terminal.say(line);
  const { denseBytes, sparseBytes } = sparsityReport(weights, 4);
  terminal.say(
    `size       ${formatBytes(denseBytes)} as written (zeros take room too); ${formatBytes(sparseBytes)} in a sparse format`,
  );
  await write({ out: options.out, json: options.json === true }, writeModelDirectory({ ...model, weights }));
}

function usage(where: string, what: string): TacitError<CommandLineErrorCode> {
  return new TacitError<CommandLineErrorCode>('USAGE', what, { where });
}
