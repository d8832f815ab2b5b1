import { TacitError } from '../core/errors.ts';
import type { SecaggErrorCode } from './errors.ts';
import {
  type MessageBody,
  type Open,
  type RosterEntry,
  rosterHash,
  type SecaggConfig,
  type Signed,
} from './messages.ts';
import { sharingParameters } from './parameters.ts';

/**
 * What a client insists on before it goes a step further. Each function is one check of PROTOCOL.md's attack table; a
 * client without any of them can be robbed, and test/privacy/secagg-attacks.test.ts robs it.
 */

function refuse(code: SecaggErrorCode, what: string, where?: string): never {
  throw new TacitError<SecaggErrorCode>(code, what, where === undefined ? {} : { where });
}

/** What a client remembers on stable storage about the last session it took part in. Holds no secret. */
export interface ClientRecord {
  readonly run: string;
  readonly round: number;
  readonly attempt: number;
  readonly session: string;
  readonly step: 'joined' | 'masked' | 'signed' | 'answered';
  /** The one survivor set that was signed. */
  readonly survivorsHash: string | null;
}

/**
 * Rounds only go forward, and a session that was begun and lost is not begun again (replay, rollback). A round is answered
 * once, whatever its attempt: what was answered may be open, and another sum of the same round is one that nobody charged.
 */
export function checkNewer(config: SecaggConfig, session: string, last: ClientRecord | undefined): void {
  if (last === undefined || last.run !== config.run) return;
  if (last.session === session) {
    refuse(
      'SECAGG_STATE_LOST',
      `this client was already in this session (${last.step}) and has lost its one-time secrets`,
      'config',
    );
  }
  if (config.round === last.round && last.step === 'answered') {
    refuse('SECAGG_REPLAY', `the sum of round ${config.round} may be open: this client answered for it`, 'config');
  }
  const newer = config.round > last.round || (config.round === last.round && config.attempt > last.attempt);
  if (!newer) {
    refuse(
      'SECAGG_REPLAY',
      `round ${config.round}.${config.attempt} is not newer than ${last.round}.${last.attempt}`,
      'config',
    );
  }
}

/** The roster is the pinned one, and the cohort is a sorted subset of it with me in it. */
export function checkRoster(config: SecaggConfig, roster: ReadonlyMap<string, RosterEntry>, clientId: string): void {
  if (config.rosterHash !== rosterHash(roster.values()))
    refuse('SECAGG_ROSTER', 'the roster is not the pinned one', 'config');
  checkSortedSubset(config.cohort, roster, 'SECAGG_ROSTER', 'config.cohort');
  if (!config.cohort.includes(clientId)) refuse('SECAGG_ROSTER', 'this client is not in the cohort', 'config.cohort');
}

/** The threshold and graph are the ones that the rule gives, and the rule is safe. */
export function checkParameters(config: SecaggConfig): void {
  const { threshold, degree } = sharingParameters({ cohortSize: config.cohort.length, ...config });
  if (config.threshold !== threshold || config.degree !== degree) {
    refuse(
      'SECAGG_PARAMETERS',
      `threshold ${config.threshold} of degree ${config.degree} where the rule gives ${threshold} of ${degree}`,
      'config',
    );
  }
}

/** Opens an advertisement with the key that the roster pins for its sender. */
export function checkAdvertisement(
  message: Signed,
  roster: ReadonlyMap<string, RosterEntry>,
  open: Open,
): MessageBody<'advertise'> {
  return open('advertise', message, ({ clientId }) => {
    const entry = roster.get(clientId);
    if (entry === undefined) refuse('SECAGG_ROSTER', `${clientId} is not on the roster`, 'keys');
    return entry.publicKey;
  }).body;
}

/** Every message names this session. */
export function checkSession(
  body: { readonly session: string; readonly sid?: string },
  session: string,
  sid?: string,
): void {
  if (body.session !== session || (sid !== undefined && body.sid !== sid)) {
    refuse('SECAGG_WRONG_SESSION', 'the message belongs to another session');
  }
}

/** Nobody twice, no key twice: a client counted twice is a cohort that is smaller than it looks. */
export function checkDistinct(advertisements: readonly MessageBody<'advertise'>[]): void {
  const seen = new Set<string>();
  for (const { clientId, channelKey, maskKey } of advertisements) {
    for (const item of [`id ${clientId}`, channelKey, maskKey]) {
      if (seen.has(item)) refuse('SECAGG_DUPLICATE', `${clientId} repeats an id or a key of the list`, 'keys');
      seen.add(item);
    }
  }
}

/** What the list says of me is what I sent. */
export function checkOwnEntry(own: MessageBody<'advertise'>, listed: MessageBody<'advertise'> | undefined): void {
  const same =
    listed !== undefined &&
    listed.channelKey === own.channelKey &&
    listed.maskKey === own.maskKey &&
    listed.nonce === own.nonce;
  if (!same) refuse('SECAGG_OWN_ENTRY', 'the list of keys does not hold what this client advertised', 'keys');
}

/** At least `minimum` clients stand behind this step. */
export function checkCohort(size: number, minimum: number, where: string): void {
  if (size < minimum) refuse('SECAGG_COHORT_TOO_SMALL', `${size} clients where ${minimum} are needed`, where);
}

/** Sorted, without repetition, all in `of`. */
export function checkSortedSubset(
  list: readonly string[],
  of: { has(id: string): boolean },
  code: SecaggErrorCode,
  where: string,
): void {
  list.forEach((id, i) => {
    const previous = list[i - 1];
    if (previous !== undefined && previous >= id) refuse(code, 'the list is not sorted or repeats a client', where);
    if (!of.has(id)) refuse(code, `${id} does not belong in the list`, where);
  });
}

/** u ∈ U3 ⊆ U2. */
export function checkSurvivors(
  survivors: readonly string[],
  members: { has(id: string): boolean },
  clientId: string,
): void {
  checkSortedSubset(survivors, members, 'SECAGG_SURVIVORS', 'survivors');
  if (!survivors.includes(clientId)) refuse('SECAGG_SURVIVORS', 'this client is said to have dropped', 'survivors');
}

/** One answer per step of a session: the same message again is a retransmission, another one is an attack. */
export function checkFirst(before: string | undefined, where: string): void {
  if (before !== undefined) refuse('SECAGG_EQUIVOCATION', 'the server sent two different messages for one step', where);
}

/**
 * At least t of my holders, myself among them, are said to have shared: then I mask with so many that whoever can open my own
 * mask met one of them. On the k-regular graph all my neighbours may be missing where the cohort is large enough.
 */
export function checkHolders(present: number, threshold: number): void {
  if (present < threshold)
    refuse('SECAGG_COHORT_TOO_SMALL', `${present} holders shared where ${threshold} are needed`, 'inbox');
}

/** At least `needed` survivors signed the very set that I signed. */
export function checkSignatures(
  messages: readonly Signed[],
  expected: { readonly session: string; readonly sid: string; readonly survivorsHash: string },
  survivors: ReadonlySet<string>,
  roster: ReadonlyMap<string, RosterEntry>,
  needed: number,
  open: Open,
): void {
  const valid = new Set<string>();
  for (const message of messages) {
    const { body } = open('consistent', message, ({ clientId }) => {
      const entry = survivors.has(clientId) ? roster.get(clientId) : undefined;
      if (entry === undefined) refuse('SECAGG_SIGNATURES', `a signature by ${clientId} does not count`, 'signatures');
      return entry.publicKey;
    });
    checkSession(body, expected.session, expected.sid);
    if (body.survivorsHash !== expected.survivorsHash) {
      refuse('SECAGG_SIGNATURES', `${body.clientId} signed another survivor set`, 'signatures');
    }
    valid.add(body.clientId);
  }
  if (valid.size < needed) {
    refuse(
      'SECAGG_SIGNATURES',
      `${valid.size} signatures on the survivor set where ${needed} are needed`,
      'signatures',
    );
  }
}
