import type { RoundPhase, RunState } from '../../shared/protocol/views.ts';
import type { Tone } from '../components/badge.ts';

/** Protocol words as people read them. */
export const PHASES: Readonly<Record<RoundPhase, string>> = {
  training: 'training on each site',
  advertise: 'exchanging keys',
  shares: 'sharing keys for dropouts',
  upload: 'uploading masked updates',
  consistency: 'agreeing on who is in',
  unmask: 'unmasking the sum',
  merge: 'merging into the model',
  done: 'done',
  aborted: 'aborted',
};

/** The same phases as the participant lives them. */
export const MY_PHASES: Readonly<Record<RoundPhase, string>> = {
  training: 'Training on your data, on this device',
  advertise: 'Exchanging keys with the other participants',
  shares: 'Leaving key shares, in case someone drops out',
  upload: 'Sending the masked update',
  consistency: 'Agreeing with the others on who is in the sum',
  unmask: 'Helping to unmask the sum, not any single update',
  merge: 'The coordinator merges the sum into the model',
  done: 'Round finished',
  aborted: 'Round ended without a result',
};

const STATES: Readonly<Record<RunState, readonly [string, Tone]>> = {
  waiting: ['waiting for participants', 'plain'],
  running: ['running', 'live'],
  finished: ['finished', 'good'],
  stopped: ['stopped', 'warn'],
  failed: ['failed', 'bad'],
};

export function runStateWords(state: RunState): { readonly text: string; readonly tone: Tone } {
  const [text, tone] = STATES[state];
  return { text, tone };
}

/** Codes that stop a participant or a run, in plain words with what can be done. */
const CODES: Readonly<Record<string, { readonly title: string; readonly body: string }>> = {
  BUDGET_EXCEEDED: {
    title: 'The privacy budget is used up.',
    body: 'No more rounds can be trained on this data in this period. That is the budget doing its work: nothing was sent.',
  },
  COHORT_TOO_SMALL: {
    title: 'Too few participants are here.',
    body: 'Your update would hide among too few others, so it is not sent. Training goes on by itself when enough have joined.',
  },
  POLICY_REFUSED: {
    title: 'Your own limits refuse this training.',
    body: 'The plan asks for more than you allow. Nothing was sent. You may change your limits and look again.',
  },
  POLICY_MISSING: { title: 'No limits are set.', body: 'Without limits of your own, every plan is refused.' },
  INVITATION_EXPIRED: { title: 'This invitation has expired.', body: 'Ask whoever invited you for a new link.' },
  INVITATION_USED: {
    title: 'This invitation was used already.',
    body: 'It opens one seat only. If that was you on another browser, continue there; else ask for a new link.',
  },
  INVITATION_UNKNOWN: { title: 'The coordinator does not know this invitation.', body: 'Ask for a new link.' },
  JOIN_CODE_INVALID: {
    title: 'This is not a complete invitation link.',
    body: 'Copy the whole link, from http to the last character.',
  },
  COORDINATOR_UNKNOWN: {
    title: 'This is not the coordinator that your invitation names.',
    body: 'Its key is another one. Nothing was sent. Ask whoever invited you before going on.',
  },
  LEDGER_DISAGREES: {
    title: 'The ledger does not match what this device saw before.',
    body: 'Entries were changed or removed. Your device has stopped and keeps the evidence; tell the compliance officer.',
  },
  ROUND_CLOSED: {
    title: 'The round closed without you.',
    body: 'Your device was not ready in time. Nothing of it is in the sum; you are in the next round.',
  },
  DEADLINE_PASSED: {
    title: 'The round closed without you.',
    body: 'Your device was not ready in time. Nothing of it is in the sum; you are in the next round.',
  },
  RUN_CLOSED: { title: 'This training is over.', body: 'Nothing more is asked of your device.' },
  SEAT_TAKEN: {
    title: 'Your seat is in use.',
    body: 'This training is open in another tab or program. Close that one, then try again.',
  },
  PROTOCOL_VERSION: {
    title: 'This page and the coordinator speak different versions.',
    body: 'Reload the page. If that does not help, the coordinator was updated half-way: tell its operator.',
  },
  STATE_LOST: {
    title: 'What this device remembered of the round is gone.',
    body: 'It stays out of this round, for safety, and is in the next one.',
  },
  ENGINE_NONE: {
    title: 'This browser cannot train.',
    body: 'Neither WebGPU, WebGL nor WebAssembly gave right results here. Try a recent Chrome, Edge, Firefox or Safari.',
  },
  TAB_OPEN: {
    title: 'This training is open in another tab.',
    body: 'One tab trains; continue there, or close it and reload this page.',
  },
  CONSENT_WITHDRAWN: {
    title: 'Your consent is withdrawn.',
    body: 'It is in the ledger, signed by you, and later rounds are without you. What earlier rounds released is part of noisy sums and stays charged.',
  },
  CONSENT_DECLINED: { title: 'You declined.', body: 'Nothing was sent. You can close this page.' },
};

export function explainCode(code: string, otherwise: string): { readonly title: string; readonly body: string } {
  return CODES[code] ?? { title: otherwise, body: '' };
}

/** Why rows were dropped, in words. */
const REASONS: Readonly<Record<string, string>> = {
  'bad-utf8': 'not readable as UTF-8 text',
  'bad-row': 'not a row of the table, or not JSON',
  'too-long': 'longer than 1 MB',
  'empty-text': 'no text',
  'unknown-label': 'a label that the task does not have',
  'no-person': 'no person named',
  unreadable: 'not readable',
  duplicate: 'the same text again',
  'near-duplicate': 'almost the same text again',
};

export function dropReason(reason: string): string {
  return REASONS[reason] ?? reason;
}
