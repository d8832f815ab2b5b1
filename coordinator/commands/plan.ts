import type { Command } from 'commander';
import { packedBytes } from '../../shared/kernels/packing.ts';
import { command, openTerminal } from '../../shared/node/command-line.ts';
import { formatBytes, formatDelta, table } from '../../shared/node/format.ts';
import { parsePlan } from '../../shared/protocol/plan.ts';
import { clipOf, releasesOf, trainInWords } from '../../shared/protocol/plan-stage.ts';
import type { Terms } from '../../shared/protocol/terms.ts';
import { readPlanFile } from '../runs/plan-file.ts';

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
      const { termsOf } = await import('../runs/plan-terms.ts');
      const terms = await termsOf(plan);
      const { stages, guarantees, planHash } = terms;
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
      for (const line of await thinRing(terms)) terminal.say(line);
      terminal.say('');
      if (plan.privacy.unit === 'none') {
        terminal.say(`WITHOUT PRIVACY: ${plan.privacy.because}. Whoever sees the models may learn what any text said.`);
        return;
      }
      const promises = guarantees.map((g) => [g.adversary, g.epsilon.toFixed(4), formatDelta(g.delta), g.unit, g.odds]);
      for (const line of table([['against', 'epsilon', 'delta', 'unit', 'in odds'], ...promises])) terminal.say(line);
    });
}

/** What a ring of fewer than 32 bits costs and holds, a line for each stage. */
async function thinRing(terms: Terms): Promise<string[]> {
  const { ringBits } = terms.plan.secureAggregation;
  if (ringBits === 32) return [];
  const { stageMechanism } = await import('../../shared/protocol/commitment.ts');
  return terms.plan.stages.map(({ algorithm }, index) => {
    const { sensitivity, scale, l2Clip, blockLimit } = stageMechanism(terms, index);
    const bits = `stage ${index + 1}: ${ringBits} bits a number`;
    if (algorithm === 'none' || algorithm === 'local-dp-sgd') return `${bits}, of vectors up to ${l2Clip} long`;
    const cost = `rounding adds ${(100 * (sensitivity / (scale * l2Clip) - 1)).toFixed(1)} % to the noise`;
    const units = Math.floor(blockLimit / l2Clip);
    return `${bits}, ${cost}${algorithm === 'dp-fedavg' ? '' : `; holds ${units} units of each client that all pull the same way`}`;
  });
}
