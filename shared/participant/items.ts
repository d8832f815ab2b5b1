import { packedBytes } from '../kernels/packing.ts';
import { type PlanStage, weightingOf } from '../protocol/plan-stage.ts';
import type { Terms } from '../protocol/terms.ts';
import type { SentItem } from './events.ts';

/** Everything that will leave this device, before anybody agrees to it. */
export function sentItems(terms: Terms): SentItem[] {
  const updates = terms.stages.map((stage): SentItem => {
    const plan = terms.plan.stages[stage.index];
    const form = formOf(terms, stage.index);
    return {
      what: `Update of stage ${stage.index + 1}: ${stage.dimension} numbers${weightInWords(plan)}`,
      form,
      sizeBytes: packedBytes(stage.dimension, terms.plan.secureAggregation.ringBits),
      when: `once a round, ${plan?.rounds ?? 0} round${plan?.rounds === 1 ? '' : 's'}`,
    };
  });
  return [
    { what: 'Your public key and the name you give', form: 'in the open, in the ledger', sizeBytes: 132, when: 'once' },
    {
      what: `Signed consent or refusal${terms.plan.privacy.unit === 'client' ? '' : ', with your number of records'}`,
      form: 'in the open, in the ledger',
      sizeBytes: 500,
      when: 'once',
    },
    ...updates,
    {
      what: 'Session keys and shares of secrets',
      form: 'public keys; shares sealed for the other participants',
      sizeBytes: 4_000,
      when: 'every round',
    },
    { what: 'Your signature that the ledger is consistent', form: 'in the open', sizeBytes: 200, when: 'every round' },
  ];
}

function weightInWords(stage: PlanStage | undefined): string {
  const weighting = stage && weightingOf(stage);
  return weighting === undefined ? '' : `, one of them how many texts you have, up to ${weighting.maximumExamples}`;
}

function formOf({ plan }: Terms, stage: number): string {
  const masked = 'masked: uniform random numbers to anyone without the other masks';
  switch (plan.stages[stage]?.algorithm) {
    case 'none':
      return `WITHOUT PRIVACY, only ${masked}; whoever sees the models may learn what your texts say`;
    case 'local-dp-sgd':
      return `noised here at every step, then ${masked}`;
    default:
      return `clipped, noised and ${masked}`;
  }
}
