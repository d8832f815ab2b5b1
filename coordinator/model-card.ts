import { trainInWords } from '../shared/protocol/plan-stage.ts';
import { bestEvaluation } from './rounds/evaluation.ts';
import type { RunRecord } from './rounds/run-log.ts';

/** README.md of a published model: what it is for, how it was trained and what is promised, in words. */
export function modelCard(record: RunRecord): string {
  const { terms, id } = record;
  const { plan } = terms;
  const best = bestEvaluation(record);
  const stages = plan.stages.map(
    ({ algorithm, train, rounds }, i) => `- stage ${i + 1}: ${algorithm}, ${trainInWords(train)}, ${rounds} rounds`,
  );
  return [
    `# ${plan.name}`,
    '',
    plan.purpose,
    '',
    `Labels: ${plan.task.labels.join(', ')}. Run ${id}, plan ${terms.planHash}.`,
    '',
    '## Training',
    '',
    ...stages,
    ...(best === undefined
      ? []
      : [
          '',
          `Chosen on ${best.examples} validation texts: round ${best.round}, accuracy ${best.accuracy.toFixed(4)}.`,
        ]),
    '',
    '## Privacy',
    '',
    ...promises(record),
    '',
  ].join('\n');
}

function promises({ terms }: RunRecord): string[] {
  const { privacy } = terms.plan;
  if (privacy.unit === 'none') {
    return [
      `Trained WITHOUT PRIVACY: ${privacy.because}. No (ε, δ) holds for this model; whoever has it may learn what training texts said.`,
    ];
  }
  return terms.guarantees.map(
    (g) =>
      `- against ${g.adversary}: ε = ${g.epsilon.toFixed(4)}, δ = ${g.delta} for one ${g.unit} (${g.mechanism}); ${g.odds}`,
  );
}
