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

interface Answer {
  /** With `--json`, whole. */
  readonly result: object;
  /** For people: what the number means, with the digits that matter. */
  readonly words: readonly string[];
}

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
    answer: (v: Values) => Answer,
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
      return {
        result: { epsilon: upper, epsilonAtLeast: lower },
        words: [`epsilon ${roundedUp(upper)} at delta ${v.delta}`, ...releases(v), bound('epsilon', lower, upper)],
      };
    },
  );
  add(
    'delta',
    'delta at an epsilon',
    '--noise-multiplier 13.91 --rounds 100 --epsilon 3',
    ['noiseMultiplier', 'rounds', 'epsilon', 'samplingProbability'],
    (v) => {
      const { lower, upper } = deltaBounds([stageEvent(v, v.noiseMultiplier)], v.epsilon);
      return {
        result: { delta: upper, deltaAtLeast: lower },
        words: [`delta ${roundedUp(upper)} at epsilon ${v.epsilon}`, ...releases(v), bound('delta', lower, upper)],
      };
    },
  );
  add(
    'noise',
    'least noise multiplier for a promise',
    '--epsilon 3 --delta 1e-5 --rounds 100',
    ['epsilon', 'delta', 'rounds', 'samplingProbability'],
    (v) => {
      const promise = { epsilon: v.epsilon, delta: v.delta };
      const noiseMultiplier = calibrateNoise({ ...promise, stages: [{ ...v, share: 1 }] })[0] as number;
      return {
        result: { noiseMultiplier },
        words: [
          `noise multiplier ${roundedUp(noiseMultiplier)}: the least for epsilon ${v.epsilon} at delta ${v.delta}`,
          ...releases({ ...v, noiseMultiplier }),
        ],
      };
    },
  );
  add(
    'rounds',
    'most rounds for a promise',
    '--epsilon 3 --delta 1e-5 --noise-multiplier 13.91',
    ['epsilon', 'delta', 'noiseMultiplier', 'samplingProbability'],
    (v) => {
      const rounds = affordableRounds(v);
      return {
        result: { rounds },
        words: [
          `${rounds} rounds: the most for epsilon ${v.epsilon} at delta ${v.delta}`,
          ...(rounds === 0 ? ['one release alone costs more'] : releases({ ...v, rounds })),
        ],
      };
    },
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
  answer: (v: Values) => Answer,
): Command {
  const calculate = command(name, about, example).option('--json', 'one JSON object');
  for (const q of needs) {
    if (q === 'samplingProbability') calculate.option(QUANTITIES[q].flag, QUANTITIES[q].about, '1');
    else calculate.requiredOption(QUANTITIES[q].flag, QUANTITIES[q].about);
  }
  return calculate.action((options: Record<string, unknown>) => {
    const values = Object.fromEntries(needs.map((q) => [q, numberOf(q, options[q])])) as Values;
    const { result, words } = answer(values);
    const terminal = openTerminal(options['json'] === true);
    terminal.emit({ ...values, ...result });
    for (const line of words) terminal.say(line);
  });
}

/** What the number is about. */
function releases(v: Pick<Values, 'rounds' | 'noiseMultiplier' | 'samplingProbability'>): string[] {
  const { rounds, noiseMultiplier, samplingProbability: q } = v;
  const times = rounds === 1 ? 'one release' : `${rounds} releases together`;
  const who = q === 1 ? 'every unit is in each' : `each unit is in each with probability ${q} (Poisson sampling)`;
  return [
    `  for      ${times}, each a sum with Gaussian noise of ${roundedUp(noiseMultiplier)} times the clip; ${who}`,
    '  between  the data with one unit (record, person or client) and without it, for whoever sees every release',
  ];
}

function bound(name: string, lower: number, upper: number): string {
  return `  bound    proved from above, by privacy loss distributions; the true ${name} is at most ${roundedUp(upper - lower, 1)} less`;
}

/** A promise is never shown smaller than it is. */
function roundedUp(value: number, digits = 6): string {
  const rounded = Number(value.toPrecision(digits));
  if (rounded >= value) return String(rounded);
  const step = 10 ** (Math.floor(Math.log10(value)) - digits + 1);
  return String(Number((rounded + step).toPrecision(digits)));
}

/** @throws USAGE */
function numberOf(name: Quantity, value: unknown): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
  if (Number.isFinite(number)) return number;
  throw new TacitError<CommandLineErrorCode>('USAGE', `"${String(value)}" is not a number`, {
    where: QUANTITIES[name].flag,
  });
}
