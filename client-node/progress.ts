import type { Terminal } from '../shared/node/command-line.ts';
import { formatBytes, formatDelta, formatSeconds, roundTag, shortHash, table } from '../shared/node/format.ts';
import type { ParticipantEvent } from '../shared/participant/events.ts';

/** Shows a participant's session: one object a line with `--json`, else sentences. Phases are drawn only where someone watches. */
export function createProgress(terminal: Terminal): (event: ParticipantEvent) => void {
  let rounds = 0;
  return (event) => {
    const { kind, ...rest } = event;
    terminal.emit({ event: kind, ...rest });
    if (event.kind === 'phase') {
      rounds = event.rounds;
      terminal.status(roundTag(event.round, rounds, event.phase));
      return;
    }
    for (const line of linesOf(event, rounds)) terminal.say(line);
  };
}

/** What people read about an event; nothing for those that only machines follow. */
function linesOf(event: Exclude<ParticipantEvent, { kind: 'phase' }>, rounds: number): readonly string[] {
  switch (event.kind) {
    case 'connection':
      return [`connection ${event.state}${event.detail === undefined ? '' : `: ${event.detail}`}`];
    case 'invitation':
      return invitation(event);
    case 'engine':
      return [`engine     ${event.name} (${event.reason}), ${formatSeconds(event.secondsPerExample)} an example`];
    case 'consented':
      return ['consented  your policy allows this plan; the receipt is in your own ledger'];
    case 'refused':
      return [`refused    ${event.code}: ${event.reason}`];
    case 'trained': {
      const loss = Number.isFinite(event.loss) ? `   loss ${event.loss.toFixed(3)}` : '';
      const left = event.dropped === undefined ? '' : `   ${event.dropped} left out: loss or gradient not finite`;
      return [
        `${roundTag(event.round, rounds, 'trained')}${event.examples} examples${loss}   ${formatSeconds(event.seconds)}${left}`,
      ];
    }
    case 'uploaded':
      return [
        `${roundTag(event.round, rounds, 'uploaded')}${formatBytes(event.bytes)} masked   sha256 ${shortHash(event.sha256)}`,
      ];
    case 'charged': {
      const { delta, unit } = event.guarantee;
      const spent = `eps ${event.spentEpsilon.toFixed(2)} of ${event.budgetEpsilon.toFixed(2)}`;
      return [`${roundTag(event.round, rounds, 'budget')}${spent} (delta ${formatDelta(delta)}, unit: ${unit})`];
    }
    case 'ledger':
      return event.verified ? [] : [`ledger     NOT verified at ${event.size} entries, root ${shortHash(event.root)}`];
    case 'roundEnded':
      return event.outcome === 'released'
        ? []
        : [roundTag(event.round, rounds, 'aborted') + (event.reason ?? 'no reason was given')];
    case 'finished':
      return [
        `finished   run ${event.run.name} is ${event.run.state} after ${event.run.round} of ${event.run.rounds} rounds`,
      ];
    case 'failed':
      return [];
  }
}

function invitation({ about, run, items }: Extract<ParticipantEvent, { kind: 'invitation' }>): readonly string[] {
  return [
    `asked by   ${about.name}, key ${about.fingerprint}`,
    `ledger     ${about.vkey}   (keep it: an auditor verifies by it)`,
    `purpose    ${run.purpose}`,
    ...run.guarantees.map(
      (g) =>
        `promise    eps ${g.epsilon.toFixed(2)}, delta ${formatDelta(g.delta)}, unit ${g.unit}, against ${g.adversary}: ${g.odds}`,
    ),
    'what will be sent:',
    ...table([
      ['what', 'form', 'size', 'when'],
      ...items.map((i) => [i.what, i.form, formatBytes(i.sizeBytes), i.when]),
    ]).map((line) => `  ${line}`),
  ];
}
