import { of, type Placed, type ScopeAccount } from './account.ts';
import type { Organisation } from './organisation.ts';

/** A statement with where it comes from. `value` is null where the controller has to fill it in. */
export interface Fact {
  readonly item: string;
  /** The provision that asks for it. */
  readonly asked: string;
  readonly value: string | null;
  /** `entry 3, 9`, `organisation.yaml: controller`, `this software`. */
  readonly source: string;
}

const none = 'not given: add it to organisation.yaml';

/** Record of processing activities (Regulation (EU) 2016/679, Art. 30(1)) for one data scope. */
export function article30(scope: ScopeAccount, entries: readonly Placed[], about: Organisation): readonly Fact[] {
  const said = (item: string, asked: string, field: keyof Organisation, value: string | undefined): Fact => ({
    item,
    asked,
    value: value ?? null,
    source: value === undefined ? none : `organisation.yaml: ${field}`,
  });
  const person = (p: { name: string; contact: string } | undefined): string | undefined =>
    p === undefined ? undefined : `${p.name}, ${p.contact}`;
  const openings = scope.decisions.map((d) => d.index);
  const runs = scope.runs.flatMap((r) => r.entries);
  const sites = [...new Set(scope.runs.flatMap((r) => r.participants))];
  return [
    said('Controller', 'Art. 30(1)(a)', 'controller', person(about.controller)),
    said('Joint controllers', 'Art. 30(1)(a)', 'jointControllers', about.jointControllers?.map(person).join('; ')),
    said('Representative', 'Art. 30(1)(a)', 'representative', person(about.representative)),
    said('Data protection officer', 'Art. 30(1)(a)', 'dataProtectionOfficer', person(about.dataProtectionOfficer)),
    {
      item: 'Purposes of the processing',
      asked: 'Art. 30(1)(b)',
      value: [scope.purpose, ...scope.runs.map((r) => `run ${r.run}: ${r.purpose}`)].join('; '),
      source: at([...openings, ...scope.runs.map((r) => r.entries[0] as number)]),
    },
    { item: 'Legal basis', asked: 'Art. 6, 9', value: scope.legalBasis, source: at(openings) },
    said('Categories of data subjects', 'Art. 30(1)(c)', 'dataSubjects', about.dataSubjects),
    said(
      'Categories of personal data',
      'Art. 30(1)(c)',
      'personalData',
      about.personalData === undefined ? undefined : `${scope.budget.scope}: ${about.personalData}`,
    ),
    {
      item: 'Sites that process their own data',
      asked: 'Art. 30(1)(d)',
      value: sites.length === 0 ? 'none yet' : sites.join('; '),
      source: at([...of(entries, 'consent').map((p) => p.index), ...of(entries, 'roster.update').map((p) => p.index)]),
    },
    said('Recipients of the model', 'Art. 30(1)(d)', 'recipients', about.recipients),
    said('Transfers to third countries', 'Art. 30(1)(e)', 'transfers', about.transfers),
    said('Time limits for erasure', 'Art. 30(1)(f)', 'retention', about.retention),
    {
      item: 'Technical measures',
      asked: 'Art. 30(1)(g), 32',
      value: measures(scope),
      source: runs.length === 0 ? 'this software' : `this software; parameters: ${at(runs)}`,
    },
    said('Organisational measures', 'Art. 30(1)(g), 32', 'securityMeasures', about.securityMeasures),
  ];
}

function measures(scope: ScopeAccount): string {
  const cohorts = scope.runs.map((r) => r.minimumCohort);
  const hidden = cohorts.length === 0 ? '' : ` over at least ${Math.min(...cohorts)} sites`;
  return [
    'records stay at their site; only clipped, noised and masked sums leave it',
    `secure aggregation opens nothing but a sum${hidden}`,
    `differential privacy: ε ${scope.spent} of ${scope.epsilon} spent for one ${scope.budget.unit} in ${scope.budget.period}`,
    'every release is charged to a tamper-evident ledger that the sites cosign',
  ].join('; ');
}

/** Notes for the California Consumer Privacy Act (Cal. Civ. Code § 1798.100 ff.): what this account supports, and what it does not decide. */
export function ccpaNotes(scope: ScopeAccount): readonly Fact[] {
  return [
    {
      item: 'Collection',
      asked: '§ 1798.100',
      value:
        'The coordinator collects no personal information of the records: it receives masked sums. Each site collects its own and answers for its notice.',
      source: 'this software',
    },
    {
      item: 'Deletion requests',
      asked: '§ 1798.105',
      value: `A deleted record no longer enters later rounds. What earlier rounds released is bounded by ε ${scope.spent} for one ${scope.budget.unit} and cannot be recalled.`,
      source: at(scope.runs.flatMap((r) => r.entries)),
    },
    {
      item: 'Sale or sharing',
      asked: '§ 1798.120',
      value: 'Nothing in the ledger shows a sale. Whether handing on a trained model is one is for counsel.',
      source: 'not in the ledger',
    },
    {
      item: 'Deidentification',
      asked: '§ 1798.140(m)',
      value:
        'Differential privacy bounds what a model reveals; by itself it does not make the claim of deidentified information, which also needs public commitments and contracts.',
      source: 'this software',
    },
  ];
}

/** `entries 3, 9 and 12`, or what to say when there are none. */
export function at(indices: readonly number[]): string {
  const sorted = [...new Set(indices)].sort((a, b) => a - b);
  if (sorted.length === 0) return 'no entry yet';
  if (sorted.length === 1) return `entry ${sorted[0]}`;
  const shown = sorted.length > 12 ? [...sorted.slice(0, 11), `${sorted.length - 11} more`] : sorted;
  return `entries ${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}
