import type { RunAccount } from './account.ts';
import { at, type Fact } from './records.ts';

/** Layers of NIST SP 800-226, "Guidelines for Evaluating Differential Privacy Guarantees", for one run, from the top. */
export function pyramid(run: RunAccount): readonly Fact[] {
  const entry = at(run.entries.slice(0, 1));
  const layer = (item: string, value: string, source: string): Fact => ({ item, asked: 'SP 800-226', value, source });
  return [
    layer(
      'Parameters ε, δ',
      run.epsilon === null
        ? 'none: this run promises no privacy'
        : `ε ${run.epsilon}, δ ${run.delta}${run.recomputedEpsilon === null ? ', not recomputed' : `; recomputed from the parameters: ε ${run.recomputedEpsilon}`}. In odds: ${run.odds}`,
      run.recomputedEpsilon === null ? entry : `${entry}; computed again for this report`,
    ),
    layer('Unit of privacy', `one ${run.unit}; neighbouring: ${run.neighbouringRelation}`, entry),
    layer('Mechanism', `${run.stages.map(stageInWords).join('; ')}. Accounting: ${run.accountant ?? 'none'}`, entry),
    layer(
      'Trust model',
      `against ${run.adversary ?? 'nobody'}; sums over at least ${run.minimumCohort} clients, of which ${run.colluders} may collude. Assumed: ${run.assumptions.join('; ') || 'nothing'}`,
      entry,
    ),
    layer(
      'Implementation',
      `${run.library}; noise as whole numbers from an exact discrete Gaussian, never floating point; plan ${run.planHash}`,
      entry,
    ),
    layer(
      'Security and access control',
      'messages signed, keys encrypted at rest, uploads masked; clients check the ledger and cosign what they checked',
      'this software',
    ),
    layer(
      'Data collection',
      `outside this system: each of ${run.participants.length} sites answers for its own data and consented by signature`,
      at(run.entries),
    ),
  ];
}

function stageInWords(stage: RunAccount['stages'][number]): string {
  const noise =
    stage.noiseMultiplier === null
      ? 'no noise'
      : `noise multiplier ${Number(stage.noiseMultiplier).toPrecision(6)} (${stage.mechanism?.name ?? 'no mechanism'})`;
  return `stage ${stage.index}: ${stage.algorithm}, ${stage.rounds} rounds, sampling ${stage.samplingProbability}, clip ${stage.l2Clip}, ${noise}`;
}

/** What none of these numbers says. */
export const NOT_COVERED: readonly string[] = [
  'That participants’ texts are true, lawful to use, or what they say they are: consent is recorded, not judged.',
  'Poisoning by an enrolled participant: clipping and evaluation bound the harm and do not exclude it.',
  'More colluding participants than the plan assumes.',
  'The participants’ own machines, and side channels of a browser.',
  'What a model reveals about groups and trends: only single units are protected.',
  'Runs that were never logged: participants refuse a plan that is not in the ledger.',
  'A ledger that was shown differently to somebody else: cosignatures and kept checkpoints show it once they are compared.',
];
