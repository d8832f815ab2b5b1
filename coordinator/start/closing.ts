import { formatBytes, formatDelta, formatSeconds, metricInWords, table } from '../../shared/node/format.ts';
import type { GuaranteeView, RoundPhase, RoundView, RunView } from '../../shared/protocol/views.ts';
import type { TestReport, TestScore } from '../service.ts';

/** Everything that the closing table and the last event tell of a run. */
export interface Outcome {
  readonly run: RunView;
  readonly rounds: readonly RoundView[];
  readonly test: TestReport;
  /** The same steps without noise, with `--compare`. */
  readonly withoutPrivacy: TestScore | undefined;
  /** ε of the budget that the run was charged to; undefined for a run that promises nothing. */
  readonly budgetEpsilon: number | undefined;
  readonly seconds: number;
  readonly ledger: { readonly entries: number; readonly root: string; readonly verified: boolean };
}

/** Phases in the order of a round; what a phase is called for people. */
const PHASES: readonly (readonly [RoundPhase, string])[] = [
  ['training', 'training'],
  ['advertise', 'keys'],
  ['shares', 'shares'],
  ['upload', 'masked uploads'],
  ['consistency', 'consistency'],
  ['unmask', 'unmasking'],
  ['merge', 'merging, ledger'],
];

/** The last object of `--json`; its fields are fixed. */
export function finishedEvent(outcome: Outcome): object {
  const { run, rounds, test, seconds, ledger } = outcome;
  const guarantee = certified(run);
  return {
    event: 'finished',
    accuracy: { before: test.before.accuracy, after: test.after.accuracy },
    f1: { before: test.before.f1, after: test.after.f1 },
    epsilon: guarantee?.epsilon ?? null,
    delta: guarantee?.delta ?? null,
    rounds: rounds.filter((r) => r.phase === 'done').length,
    seconds: Math.round(seconds * 10) / 10,
    bytesUpPerClient: sum(rounds, (r) => r.bytesUpPerClient),
    ledger,
  };
}

export function closingLines(outcome: Outcome): string[] {
  return ['', ...scores(outcome), '', ...privacy(outcome), '', ...cost(outcome)];
}

function scores({ run, test, withoutPrivacy }: Outcome): string[] {
  const labelled = test.before.accuracy !== null;
  const names = Object.keys(test.before.metrics);
  const row = (name: string, { accuracy, f1, loss, metrics }: TestScore): string[] => [
    name,
    ...(labelled
      ? [accuracy === null ? '-' : percent(accuracy), f1?.toFixed(3) ?? '-']
      : names.map((metric) => metrics[metric]?.toFixed(3) ?? '-')),
    loss.toFixed(3),
  ];
  const stageRows = (report: TestReport): string[][] =>
    report.stages.map((s) => row(`stage ${s.stage + 1}: ${s.train} (round ${s.round})`, s));
  const rows = [
    ['held-out mail', ...(labelled ? ['accuracy', `F1 (${run.labels.at(-1)})`] : names.map(metricInWords)), 'loss'],
    row('before training', test.before),
    ...stageRows(test),
    row('published model', test.after),
  ];
  if (withoutPrivacy !== undefined) rows.push(row('the same without privacy noise', withoutPrivacy));
  return [`${test.examples} test mails, never trained on and never used to choose`, ...table(rows)];
}

function privacy({ run, budgetEpsilon }: Outcome): string[] {
  const of = budgetEpsilon === undefined ? '' : ` of ${budgetEpsilon.toFixed(2)}`;
  const rows = run.guarantees.map((g) => [g.adversary, `${g.epsilon.toFixed(2)}${of}`, formatDelta(g.delta), g.unit]);
  const promise = certified(run);
  return [
    ...table([['who tries to learn', 'epsilon', 'delta', 'unit'], ...rows]),
    ...(promise === undefined ? [] : [`In odds, against ${promise.adversary}: ${promise.odds}.`]),
  ];
}

function cost({ run, rounds, seconds, ledger }: Outcome): string[] {
  const released = rounds.filter((r) => r.phase === 'done').length;
  const phases = PHASES.map(([phase, name]) => [name, sum(rounds, (r) => r.seconds[phase] ?? 0)] as const).filter(
    ([, s]) => s > 0,
  );
  const aborted = rounds.length - released;
  return [
    `rounds   ${released} released${aborted === 0 ? '' : `, ${aborted} aborted`} in ${formatSeconds(seconds)}: ${phases.map(([name, s]) => `${name} ${formatSeconds(s)}`).join(', ')}`,
    `bytes    ${formatBytes(sum(rounds, (r) => r.bytesUpPerClient))} up, ${formatBytes(sum(rounds, (r) => r.bytesDownPerClient))} down a client`,
    `ledger   ${ledger.entries} entries, root ${ledger.root}, ${ledger.verified ? 'verified' : 'NOT VERIFIED'}`,
    `model    ${run.model ?? 'none was published'}`,
  ];
}

/** What the plan commits to: the coordinator together with the colluders that the noise is sized for. */
function certified(run: RunView): GuaranteeView | undefined {
  return run.guarantees.find((g) => g.adversary.startsWith('coordinator +')) ?? run.guarantees[0];
}

function percent(x: number): string {
  return `${(100 * x).toFixed(1)} %`;
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((n, item) => n + value(item), 0);
}
