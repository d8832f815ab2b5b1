import type { Plan } from '../../shared/protocol/plan.ts';
import { trainInWords } from '../../shared/protocol/plan-stage.ts';
import type { EvaluationView } from '../../shared/protocol/views.ts';
import { bestEvaluation } from '../rounds/evaluation.ts';
import type { RunRecord } from '../runs/run-log.ts';

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
    `${taskInWords(plan.task)} Run ${id}, plan ${terms.planHash}.`,
    '',
    '## Training',
    '',
    ...stages,
    ...(best === undefined
      ? []
      : ['', `Chosen on ${best.examples} validation texts: round ${best.round}, ${measured(best)}.`]),
    '',
    '## Privacy',
    '',
    ...promises(record),
    '',
  ].join('\n');
}

function taskInWords(task: Plan['task']): string {
  switch (task.kind) {
    case 'classification':
      return `Labels: ${task.labels.join(', ')}.`;
    case 'multi-label':
      return `Labels, any number for a text: ${task.labels.join(', ')}.`;
    case 'regression':
      return `Says a number: ${task.label}.`;
    case 'pretraining':
      return `Masked language model${task.nextSentence ? ' and next sentence' : ''}: fills in [MASK], and is a start for other tasks.`;
  }
}

/** `loss 0.4210, exactMatch 0.9000, microF1 0.9500, macroF1 0.9400`. */
function measured({ loss, metrics }: EvaluationView): string {
  return Object.entries({ loss, ...metrics })
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join(', ');
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
