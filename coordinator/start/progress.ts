import type { Terminal } from '../../shared/node/command-line.ts';
import { bar, formatDelta, formatSeconds, metricInWords, roundTag, shortHash } from '../../shared/node/format.ts';
import { type Plan, requirePromise } from '../../shared/protocol/plan.ts';
import type { CoordinatorEvent, EvaluationView, RoundView, RunView } from '../../shared/protocol/views.ts';
import type { CoordinatorService } from '../service.ts';

/**
 * Follows one run in the terminal: four lines a round (UX.md), or with a person watching a bar that is drawn over and only
 * what evaluations and rounds gone wrong have to say.
 */
export function followRun(service: CoordinatorService, runId: string, plan: Plan, terminal: Terminal): () => void {
  const startedAt = performance.now();
  const written = new Set<string>();
  let evaluated = 0;
  return service.subscribe((event: CoordinatorEvent) => {
    terminal.emit(jsonOf(event));
    if (event.kind === 'log') {
      if (event.level !== 'info') terminal.say(`${event.level === 'warn' ? 'warning' : 'error'}: ${event.text}`);
      return;
    }
    const run = event.kind === 'run' ? event.run : service.run(event.run);
    if (run === undefined || run.id !== runId) return;
    if (event.kind === 'round' && ended(event.round) && !written.has(sessionOf(event.round))) {
      written.add(sessionOf(event.round));
      const quiet = terminal.live && event.round.phase === 'done';
      if (!quiet) for (const line of roundLines(service, run, plan, event.round)) terminal.say(line);
    }
    for (const evaluation of run.evaluations.slice(evaluated)) terminal.say(evaluationLine(run, evaluation));
    evaluated = run.evaluations.length;
    if (run.round > 0 && run.state === 'running') terminal.status(statusLine(run, startedAt));
  });
}

/** An aborted round is told once its reason is known. */
function ended(round: RoundView): boolean {
  return round.phase === 'done' || (round.phase === 'aborted' && round.reason !== null);
}

function sessionOf(round: RoundView): string {
  return `${round.round}.${round.attempt}`;
}

function jsonOf(event: CoordinatorEvent): object {
  const { kind, ...rest } = event;
  return { event: kind, ...rest };
}

function roundLines(service: CoordinatorService, run: RunView, plan: Plan, round: RoundView): string[] {
  const tag = (what: string): string => roundTag(round.round, run.rounds, what);
  const { invited, uploaded, survived } = round.funnel;
  const threshold = Math.floor((invited + plan.secureAggregation.colluders) / 2) + 1;
  const available = run.participants.filter((p) => p.state === 'consented').length;
  const cohort = `${tag('cohort')}${invited} of ${Math.max(available, invited)} available, threshold ${threshold}`;
  if (round.phase === 'aborted') return [cohort, `${tag('aborted')}${round.reason}`];
  const dropped = invited - uploaded;
  return [
    cohort,
    `${tag('updates')}${uploaded} received, ${dropped} dropped${dropped > 0 ? ' (recovered)' : ''}, ${uploaded - survived} rejected`,
    ...budgetLine(service, plan, round, tag('budget')),
  ];
}

function budgetLine(service: CoordinatorService, plan: Plan, round: RoundView, tag: string): string[] {
  const { scope, unit, period, delta } = requirePromise(plan);
  const budget = service.budgets().find((b) => b.scope === scope && b.unit === unit && b.period === period);
  if (budget === undefined) return [];
  const at = budget.timeline.findIndex((t) => t.index === round.ledgerIndex);
  const before = budget.timeline[at - 1]?.epsilon ?? 0;
  const after = budget.timeline[at]?.epsilon ?? budget.spent;
  const entry =
    round.ledgerIndex === null
      ? ''
      : `   ledger #${round.ledgerIndex} ${shortHash(hashOf(service, round.ledgerIndex))}`;
  return [
    `${tag}eps ${before.toFixed(2)} -> ${after.toFixed(2)} of ${budget.epsilon.toFixed(2)} (delta ${formatDelta(delta)}, unit: ${unit})${entry}`,
  ];
}

function hashOf(service: CoordinatorService, index: number): string {
  return Buffer.from(service.ledger.leafHash(index)).toString('hex');
}

function evaluationLine(run: RunView, { round, loss, accuracy, f1, metrics }: EvaluationView): string {
  const before = run.evaluations.filter((e) => e.round < round).at(-1);
  const change = before === undefined ? loss.toFixed(3) : `${before.loss.toFixed(3)} -> ${loss.toFixed(3)}`;
  const more = [
    accuracy === null ? '' : `   accuracy ${accuracy.toFixed(3)}`,
    f1 === null ? '' : `   f1 ${f1.toFixed(3)}`,
    ...(accuracy === null ? Object.entries(metrics).map(([k, v]) => `   ${metricInWords(k)} ${v.toFixed(3)}`) : []),
  ];
  return `${roundTag(round, run.rounds, 'aggregate')}loss ${change}${more.join('')}`;
}

function statusLine(run: RunView, startedAt: number): string {
  const seconds = (performance.now() - startedAt) / 1000;
  const left = run.round === 0 ? 0 : (seconds / run.round) * (run.rounds - run.round);
  return `${bar(run.round / run.rounds)} round ${run.round}/${run.rounds} ${run.phase ?? ''}, about ${formatSeconds(left)} left`;
}
