import type { ScopeAccount } from './account.ts';
import type { Organisation } from './organisation.ts';
import { at, type Fact } from './records.ts';

/** What happens when somebody says no: a site that takes its consent back, a person who objects (GDPR Art. 7(3), 17, 21). */
export function rightsNotes(scope: ScopeAccount): readonly Fact[] {
  const withdrawn = scope.runs.flatMap((r) => r.withdrawals.map((w) => ({ ...w, run: r.run })));
  const runs = at(scope.runs.flatMap((r) => r.entries));
  return [
    {
      item: 'Consents of sites taken back',
      asked: 'Art. 7(3)',
      value:
        withdrawn.length === 0
          ? 'none. A site takes its consent back by one signed statement, as it gave it; no later round counts it.'
          : withdrawn.map((w) => `${w.organisation} from run ${w.run} at ${w.at}: ${w.reason}`).join('; '),
      source: withdrawn.length === 0 ? 'this software' : at(withdrawn.map((w) => w.index)),
    },
    {
      item: 'A person who objects or asks for erasure',
      asked: 'Art. 17, 21',
      value: `Their site deletes their rows, and no later round reads them. Nothing else holds them: the coordinator never received any. What earlier rounds released is bounded by ε ${scope.spent} for one ${scope.budget.unit} and cannot be recalled; whether that suffices is the controller’s decision.`,
      source: runs,
    },
    {
      item: 'Access to one’s data',
      asked: 'Art. 15',
      value:
        'Answered by the site: it alone holds records. The ledger holds organisations, keys and amounts, and no record.',
      source: 'this software',
    },
  ];
}

/** Text for a data protection impact assessment (GDPR Art. 35(7)): what this system can say; the judgement is the controller's. */
export function impactAssessment(scope: ScopeAccount, about: Organisation): readonly Fact[] {
  const { budget, runs } = scope;
  const entries = at(runs.flatMap((r) => r.entries));
  const cohort = runs.length === 0 ? undefined : Math.min(...runs.map((r) => r.minimumCohort));
  return [
    {
      item: 'Description of the processing',
      asked: 'Art. 35(7)(a)',
      value: `${scope.purpose}. Each site trains a language model on its own texts, on its own machines; what leaves a site is a clipped, noised and masked vector of numbers and the number of its records. ${runs.length} run(s), ${runs.reduce((n, r) => n + r.roundsReleased, 0)} released rounds.`,
      source: entries,
    },
    {
      item: 'Necessity and proportionality',
      asked: 'Art. 35(7)(b)',
      value: about.necessity ?? null,
      source: about.necessity === undefined ? 'not given: add it to organisation.yaml' : 'organisation.yaml: necessity',
    },
    {
      item: 'Risk: a record is recognised in the model',
      asked: 'Art. 35(7)(c)',
      value:
        scope.odds === null
          ? 'Nothing has been released.'
          : `Bounded: ${scope.odds}. The bound is for one ${budget.unit}, ${budget.period}, over everything released and set aside; several ${budget.unit}s of the same person add up.`,
      source: entries,
    },
    {
      item: 'Risk: a site’s contribution is read on its way',
      asked: 'Art. 35(7)(c)',
      value:
        cohort === undefined
          ? 'No run yet.'
          : `A single contribution is opened by nobody; sums are, over at least ${cohort} sites. Assumed: no more sites collude with the coordinator than each plan names.`,
      source: entries,
    },
    {
      item: 'Risks that remain',
      asked: 'Art. 35(7)(c)',
      value: 'Those under “What is not covered” at the end of this report.',
      source: 'this software',
    },
    {
      item: 'Measures',
      asked: 'Art. 35(7)(d)',
      value:
        'Budget opened and raised only by two named people; a plan over it is refused before anything is sent; each site decides by its own policy and can take its consent back; every release is an entry in a ledger that the sites cosign and anybody can verify.',
      source: at(scope.decisions.map((d) => d.index)),
    },
  ];
}
