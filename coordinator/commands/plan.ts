import type { Command } from 'commander';
import { packedBytes } from '../../shared/kernels/packing.ts';
import { command, openTerminal } from '../../shared/node/command-line.ts';
import { formatBytes, formatDelta, table } from '../../shared/node/format.ts';
import { parsePlan } from '../../shared/protocol/plan.ts';
import { clipOf, releasesOf, trainInWords } from '../../shared/protocol/plan-stage.ts';
import { readPlanFile } from '../plan-file.ts';

/** `tacit plan`: what a plan would commit to. Nothing is spent, nobody is asked. */
export function planCommand(): Command {
  return command(
    'plan',
    'what noise a plan computes and what it promises, before anything is spent',
    'tacit plan plans/quickstart.yaml --epsilon 1',
  )
    .argument('<plan>', 'plan file, YAML or JSON')
    .option('--epsilon <e>', 'as if the plan said this')
    .option('--json', 'one JSON object')
    .action(async (file: string, options: { epsilon?: string; json?: boolean }) => {
      const read = (await readPlanFile(file)).plan;
      const plan =
        options.epsilon === undefined
          ? read
          : parsePlan({ ...read, privacy: { ...read.privacy, epsilon: Number(options.epsilon) } }, file);
      const { termsOf } = await import('../plan-terms.ts');
      const { stages, guarantees, planHash } = await termsOf(plan);
      const terminal = openTerminal(options.json === true);
      terminal.emit({ plan: plan.name, planHash, stages, guarantees });
      const rows = stages.map((s) => {
        const stage = plan.stages[s.index] as (typeof plan.stages)[number];
        const { algorithm, train, rounds } = stage;
        const releases = releasesOf(stage);
        return [
          trainInWords(train),
          algorithm,
          String(rounds),
          releases.rounds === 0 ? 'none' : String(releases.samplingProbability),
          String(clipOf(stage)),
          releases.rounds === 0 ? 'none' : s.noiseMultiplier.toFixed(4),
          String(s.dimension),
          formatBytes(packedBytes(s.dimension, plan.secureAggregation.ringBits) * rounds),
        ];
      });
      for (const line of table([
        ['stage', 'algorithm', 'rounds', 'q', 'clip', 'noise multiplier', 'numbers', 'bytes up a client'],
        ...rows,
      ]))
        terminal.say(line);
      terminal.say('');
      if (plan.privacy.unit === 'none') {
        terminal.say(`WITHOUT PRIVACY: ${plan.privacy.because}. Whoever sees the models may learn what any text said.`);
        return;
      }
      const promises = guarantees.map((g) => [g.adversary, g.epsilon.toFixed(4), formatDelta(g.delta), g.unit, g.odds]);
      for (const line of table([['against', 'epsilon', 'delta', 'unit', 'in odds'], ...promises])) terminal.say(line);
    });
}
