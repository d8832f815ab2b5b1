import type { Entry, EntryKind } from './entries.ts';
import { WITHDRAWN } from './verify-runs.ts';

/** Kinds of entries in words. */
export const KINDS: Readonly<Record<EntryKind, string>> = {
  'budget.open': 'budget opened',
  'budget.lower': 'budget lowered',
  'plan.commit': 'plan committed',
  consent: 'consent',
  refusal: 'refusal',
  reserve: 'budget reserved',
  'round.release': 'round released',
  'round.abort': 'round aborted',
  'plan.close': 'plan closed',
  'roster.update': 'participants changed',
  'key.rotate': 'key changed',
  'key.revoke': 'key ended',
  audit: 'empirical audit',
  incident: 'incident',
  charge: 'charge seen',
  countersignature: 'countersignature',
};

/** Six digits of a decimal; the entry holds all of them. */
function amount(text: string): number {
  return Number(Number(text).toPrecision(6));
}

/** What an entry says, in one line. */
export function entryWords(entry: Entry): string {
  switch (entry.kind) {
    case 'budget.open':
      return `ε ${entry.opening.epsilon} at δ ${entry.opening.delta} for ${entry.opening.budget.scope}, one ${entry.opening.budget.unit}, ${entry.opening.budget.period}; ${plural(entry.approvals.length, 'approval')}`;
    case 'budget.lower':
      return `to ε ${entry.epsilon} for ${entry.budget.scope}: ${entry.reason}`;
    case 'plan.commit':
      return entry.certificate === null
        ? `run ${entry.run}, without privacy`
        : `run ${entry.run}: ε ${amount(entry.certificate.epsilon)} at δ ${entry.certificate.delta} at most`;
    case 'consent':
      return `client ${entry.clientId.slice(0, 12)} to run ${entry.run}`;
    case 'refusal':
      if (entry.code === WITHDRAWN) return `client ${entry.by.slice(0, 12)} took its consent back: ${entry.reason}`;
      return `by ${entry.by.slice(0, 12)}, ${entry.code}: ${entry.reason}`;
    case 'reserve':
      return `ε ${amount(entry.epsilon)} for run ${entry.run}, ${plural(entry.budgets.length, 'dataset')}`;
    case 'round.release':
      return `run ${entry.run}, round ${entry.round}: sum of ${entry.survivors} participants`;
    case 'round.abort':
      return `run ${entry.run}, round ${entry.round}, ${entry.code}: ${entry.reason}`;
    case 'plan.close':
      return `run ${entry.run} ${entry.outcome}: ${plural(entry.roundsReleased, 'round')} released, ε ${amount(entry.epsilon)} charged`;
    case 'roster.update':
      return entry.members === null ? 'list kept as a blob' : plural(entry.members.length, 'participant');
    case 'key.rotate':
      return `${entry.change.role} ${entry.change.name}: ${entry.change.reason}`;
    case 'key.revoke':
      return `client ${entry.clientId.slice(0, 12)}, ${entry.organisation}: ${entry.reason}`;
    case 'audit':
      return `measured ε ≥ ${amount(entry.epsilonLowerBound)}, claimed ${amount(entry.epsilonClaimed)}: ${entry.holds ? 'the claim stands' : 'the claim is refuted'}`;
    case 'incident':
      return `${entry.code}: ${entry.what}`;
    case 'charge':
      return `ε ${amount(entry.epsilon)} by run ${entry.run}`;
    case 'countersignature':
      return `client ${entry.clientId.slice(0, 12)} saw entry ${entry.document.index}`;
  }
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
