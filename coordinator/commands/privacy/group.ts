import type { Command } from 'commander';
import { TacitError } from '../../../shared/core/errors.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../../shared/node/command-line.ts';
import {
  affordableRounds,
  calibrateNoise,
  deltaBounds,
  epsilonBounds,
  stageEvent,
} from '../../../shared/privacy/accountant/index.ts';
import { privacyPlanCommand } from './plan.ts';

/** What is known of a sequence of equal releases; the command asks for what is not. */
const QUANTITIES = {
  epsilon: { flag: '--epsilon <e>', about: 'epsilon of the whole sequence' },
  delta: { flag: '--delta <d>', about: 'delta of the whole sequence, e.g. 1e-5' },
  noiseMultiplier: { flag: '--noise-multiplier <s>', about: 'standard deviation of the noise over the clip' },
  samplingProbability: {
    flag: '--sampling-probability <q>',
    about: 'probability with which each record enters a round (Poisson)',
  },
  rounds: { flag: '--rounds <n>', about: 'number of releases' },
} as const;
type Quantity = keyof typeof QUANTITIES;
type Values = Record<Quantity, number>;

/** `tacit privacy epsilon|delta|noise|rounds|plan`: the accountant as a calculator. Nothing is spent. */
export function privacyCommand(): Command {
  const group = command(
    'privacy',
    'what releases cost: the accountant as a calculator',
    exampleOf('epsilon', '--noise-multiplier 13.91 --rounds 100 --delta 1e-5'),
  );
  const add = (
    name: string,
    about: string,
    example: string,
    needs: readonly Quantity[],
    answer: (v: Values) => object,
  ): void => {
    group.addCommand(calculation(name, about, exampleOf(name, example), needs, answer));
  };
  add(
    'epsilon',
    'epsilon of a sequence of releases',
    '--noise-multiplier 13.91 --rounds 100 --delta 1e-5',
    ['noiseMultiplier', 'rounds', 'delta', 'samplingProbability'],
    (v) => {
      const { lower, upper } = epsilonBounds([stageEvent(v, v.noiseMultiplier)], v.delta);
      return { epsilon: upper, epsilonAtLeast: lower };
    },
  );
  add(
    'delta',
    'delta at an epsilon',
    '--noise-multiplier 13.91 --rounds 100 --epsilon 3',
    ['noiseMultiplier', 'rounds', 'epsilon', 'samplingProbability'],
    (v) => {
      const { lower, upper } = deltaBounds([stageEvent(v, v.noiseMultiplier)], v.epsilon);
      return { delta: upper, deltaAtLeast: lower };
    },
  );
  add(
    'noise',
    'least noise multiplier for a promise',
    '--epsilon 3 --delta 1e-5 --rounds 100',
    ['epsilon', 'delta', 'rounds', 'samplingProbability'],
    (v) => ({
      noiseMultiplier: calibrateNoise({ epsilon: v.epsilon, delta: v.delta, stages: [{ ...v, share: 1 }] })[0],
    }),
  );
  add(
    'rounds',
    'most rounds for a promise',
    '--epsilon 3 --delta 1e-5 --noise-multiplier 13.91',
    ['epsilon', 'delta', 'noiseMultiplier', 'samplingProbability'],
    (v) => ({
      rounds: affordableRounds(v),
    }),
  );
  group.addCommand(privacyPlanCommand());
  return group;
}

function exampleOf(name: string, flags: string): string {
  return `tacit privacy ${name} ${flags}`;
}

function calculation(
  name: string,
  about: string,
  example: string,
  needs: readonly Quantity[],
  answer: (v: Values) => object,
): Command {
  const calculate = command(name, about, example).option('--json', 'one JSON object');
  for (const q of needs) {
    if (q === 'samplingProbability') calculate.option(QUANTITIES[q].flag, QUANTITIES[q].about, '1');
    else calculate.requiredOption(QUANTITIES[q].flag, QUANTITIES[q].about);
  }
  return calculate.action((options: Record<string, unknown>) => {
    const values = Object.fromEntries(needs.map((q) => [q, numberOf(q, options[q])])) as Values;
    const result = answer(values);
    const terminal = openTerminal(options['json'] === true);
    terminal.emit({ ...values, ...result });
    for (const [key, value] of Object.entries(result)) terminal.say(`${key} ${String(value)}`);
  });
}

/** @throws USAGE */
function numberOf(name: Quantity, value: unknown): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
  if (Number.isFinite(number)) return number;
  throw new TacitError<CommandLineErrorCode>('USAGE', `"${String(value)}" is not a number`, {
    where: QUANTITIES[name].flag,
  });
}
