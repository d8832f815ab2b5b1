import type { Command } from 'commander';
import { TacitError } from '../../../shared/core/errors.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../../shared/node/command-line.ts';
import { calibrateNoise } from '../../../shared/privacy/accountant/index.ts';

const EXAMPLE = 'tacit privacy plan --epsilon 3 --delta 1e-5 --records 6000';
/** Shares of the records in a round that are shown when no batch sizes are given. */
const SHARES = [1 / 128, 1 / 32, 1 / 8, 1];

/** One way to spend the budget. Errors are in units of the clip, for the mean gradient over the batch. */
interface Choice {
  readonly rounds: number;
  /** Expected records in a round. */
  readonly batch: number;
  readonly samplingProbability: number;
  readonly noiseMultiplier: number;
  /** Root mean square L2 norm of one round's noise on the mean gradient: noiseMultiplier·√parameters/batch. */
  readonly noiseError: number;
  /** The same of the mean over all rounds: how much of it is left when the rounds average out. */
  readonly noiseErrorOverRun: number;
  /** Most that drawing a batch adds to one round: √((1 − samplingProbability)/batch), as no gradient is longer than the clip. */
  readonly samplingErrorAtMost: number;
}

/** `tacit privacy plan`: what a budget buys. Nothing is spent. */
export function privacyPlanCommand(): Command {
  return command('plan', 'what a budget buys: noise and error for choices of rounds and batch', EXAMPLE)
    .requiredOption('--epsilon <e>', 'epsilon of the whole run')
    .requiredOption('--delta <d>', 'delta of the whole run, e.g. 1e-5')
    .requiredOption('--records <n>', 'records that all participants hold together')
    .option('--rounds <list>', 'numbers of rounds to compare', '30,100,300,1000')
    .option('--batch <list>', 'expected records in a round to compare; default: a 128th, 32nd, 8th and all of them')
    .option('--parameters <d>', 'trainable parameters, for the error of the whole gradient; 1: of each parameter', '1')
    .option('--json', 'one JSON object')
    .action((options: Record<string, string | boolean>) => {
      const [epsilon, delta] = [one(options, 'epsilon'), one(options, 'delta')];
      const [records, parameters] = [whole(options, 'records')[0] ?? 1, whole(options, 'parameters')[0] ?? 1];
      const shares = [...new Set(SHARES.map((share) => Math.max(1, Math.round(share * records))))];
      const batches = options['batch'] === undefined ? shares : whole(options, 'batch');
      const tooMany = batches.find((batch) => batch > records);
      if (tooMany !== undefined) throw usage('batch', `${tooMany} is more than the ${records} records`);
      const choices = whole(options, 'rounds').flatMap((rounds) =>
        batches.map((batch) => choose({ epsilon, delta }, records, rounds, batch, parameters)),
      );
      print({ epsilon, delta, records, parameters, choices }, options['json'] === true);
    });
}

function choose(
  promise: { readonly epsilon: number; readonly delta: number },
  records: number,
  rounds: number,
  batch: number,
  parameters: number,
): Choice {
  const samplingProbability = batch / records;
  const [noiseMultiplier] = calibrateNoise({ ...promise, stages: [{ samplingProbability, rounds, share: 1 }] });
  const sigma = noiseMultiplier as number;
  const noiseError = (sigma * Math.sqrt(parameters)) / batch;
  return {
    rounds,
    batch,
    samplingProbability,
    noiseMultiplier: sigma,
    noiseError,
    noiseErrorOverRun: noiseError / Math.sqrt(rounds),
    samplingErrorAtMost: Math.sqrt((1 - samplingProbability) / batch),
  };
}

interface Table {
  readonly epsilon: number;
  readonly delta: number;
  readonly records: number;
  readonly parameters: number;
  readonly choices: readonly Choice[];
}

function print(table: Table, json: boolean): void {
  const terminal = openTerminal(json);
  terminal.emit(table);
  const { epsilon, delta, records, parameters } = table;
  terminal.say(`epsilon ${epsilon}, delta ${delta}, ${records} records; errors in clips, of ${counted(parameters)}`);
  const heads = ['rounds', 'batch', 'sampling', 'noise multiplier', 'noise/round', 'noise/run', 'sampling/round'];
  const width = (head: string): number => Math.max(8, head.length);
  terminal.say(heads.map((head) => head.padStart(width(head))).join('  '));
  for (const c of table.choices) {
    const errors = [c.noiseError, c.noiseErrorOverRun, c.samplingErrorAtMost];
    const numbers = [c.samplingProbability, c.noiseMultiplier, ...errors].map((x) => Number(x.toPrecision(3)));
    const cells = [c.rounds, c.batch, ...numbers].map((x, i) => String(x).padStart(width(heads[i] as string)));
    terminal.say(cells.join('  '));
  }
  terminal.say('noise: root mean square error of the mean gradient. sampling: at most, from drawing a batch.');
}

function counted(parameters: number): string {
  return parameters === 1 ? 'each parameter' : `${parameters} parameters together`;
}

function one(options: Record<string, string | boolean>, name: string): number {
  const value = Number(options[name]);
  if (Number.isFinite(value)) return value;
  throw usage(name, `"${String(options[name])}" is not a number`);
}

/** @throws USAGE */
function whole(options: Record<string, string | boolean>, name: string): number[] {
  return String(options[name])
    .split(',')
    .map((word) => {
      const value = Number(word);
      if (Number.isSafeInteger(value) && value >= 1) return value;
      throw usage(name, `"${word}" is not a whole number above 0`);
    });
}

function usage(name: string, what: string): TacitError<CommandLineErrorCode> {
  return new TacitError('USAGE', what, { where: `--${name}` });
}
