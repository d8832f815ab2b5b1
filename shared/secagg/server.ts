import { hex } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { GrowingMap } from '../core/growing-map.ts';
import type { Signer } from '../core/signing.ts';
import type { SecaggErrorCode } from './errors.ts';
import { sessionGraph } from './graph.ts';
import {
  digestOf,
  type MessageBody,
  openMessage,
  parseBody,
  type RosterEntry,
  rosterHash,
  type SecaggConfig,
  type ServerMessageName,
  type Signed,
  sessionOf,
  sidOf,
  signMessage,
} from './messages.ts';
import { sessionLadder } from './noise-seeds.ts';
import { sharingParameters, signaturesNeeded } from './parameters.ts';
import { openAnswer } from './server-answers.ts';
import { phaseMessage } from './server-messages.ts';
import {
  type Answer,
  type Answers,
  everyoneHolds,
  type Group,
  isPhase,
  PHASES,
  type Phase,
  type ServerEffect,
  type ServerEvent,
  type ServerState,
  type ServerStep,
} from './server-state.ts';
import { enoughAnswers, reconstruct, withComplaints } from './server-unmask.ts';

/**
 * Opens a session and invites the cohort.
 * @throws SECAGG_PARAMETERS, SECAGG_ROSTER for a configuration that no honest client would accept
 */
export function startServer(options: {
  readonly config: SecaggConfig;
  readonly signer: Signer;
  readonly roster: Iterable<RosterEntry>;
}): ServerStep {
  const { signer } = options;
  const roster = new Map([...options.roster].map((entry) => [entry.clientId, entry]));
  const config = parseBody('config', { body: options.config, signature: 'A'.repeat(88) });
  const { threshold, degree } = sharingParameters({ cohortSize: config.cohort.length, ...config });
  if (config.threshold !== threshold || config.degree !== degree) {
    throw new TacitError<SecaggErrorCode>('SECAGG_PARAMETERS', 'threshold or degree are not those of the rule', {
      where: 'config',
    });
  }
  const sorted = config.cohort.every((id, i) => roster.has(id) && (i === 0 || (config.cohort[i - 1] as string) < id));
  if (!sorted || config.rosterHash !== rosterHash(roster.values())) {
    throw new TacitError<SecaggErrorCode>(
      'SECAGG_ROSTER',
      'the cohort is not a sorted part of the roster, or the roster has another hash',
      { where: 'config' },
    );
  }
  const configMessage = signMessage('config', config, signer);
  const answers: Answers = {
    advertise: GrowingMap.of(),
    shares: GrowingMap.of(),
    masked: GrowingMap.of(),
    consistent: GrowingMap.of(),
    unmask: GrowingMap.of(),
  };
  const cohort = new Set(config.cohort);
  const state: ServerState = {
    config,
    signer,
    roster,
    session: sessionOf(config),
    configMessage,
    phase: 'advertise',
    cohort,
    expected: cohort,
    answers,
    advertisedKeys: GrowingMap.of(),
    complaints: new Map(),
    ejected: GrowingMap.of(),
    gone: new Set(),
    group: undefined,
  };
  return { state, effects: phaseEffects(state) };
}

/** One step of the session. Never throws for what a client may send: that client is ejected with a code. */
export function serverReduce(state: ServerState, event: ServerEvent): ServerStep {
  if (!isPhase(state.phase)) return { state, effects: [] };
  switch (event.kind) {
    case 'message':
      return settle(onAnswer(state, event.from, event.name, event.signed));
    case 'uploaded':
      return settle(onAnswer(state, event.from, 'masked', event.manifest));
    case 'gone':
      if (!state.cohort.has(event.from) || state.gone.has(event.from)) return { state, effects: [] };
      return settle({ state: { ...state, gone: new Set(state.gone).add(event.from) }, effects: [] });
    case 'deadline':
      return event.phase === state.phase ? closePhase(state, []) : { state, effects: [] };
  }
}

/** What a client that reconnects should be sent now, or undefined when it has nothing to do but wait. */
export function messageFor(
  state: ServerState,
  clientId: string,
): { name: ServerMessageName; signed: Signed } | undefined {
  if (!isPhase(state.phase) || !isWaitedFor(state, state.phase, clientId)) return undefined;
  return phaseMessage(state, state.phase, clientId);
}

/**
 * The manifest of an upload, checked as `uploaded` will check it, so that chunks can be compared with it as they arrive.
 * @throws SECAGG_* the code with which the client would be ejected
 */
export function openManifest(state: ServerState, from: string, signed: unknown): MessageBody<'masked'> {
  if (state.phase !== 'masked' || !state.expected.has(from)) {
    throw new TacitError<SecaggErrorCode>('SECAGG_WRONG_PHASE', `no upload is expected from ${from}`, {
      where: 'masked',
    });
  }
  return openAnswer(state, from, 'masked', signed) as MessageBody<'masked'>;
}

function isWaitedFor({ expected, answers, ejected }: ServerState, phase: Phase, id: string): boolean {
  return expected.has(id) && !answers[phase].has(id) && !ejected.has(id);
}

function waitedFor(state: ServerState, phase: Phase): readonly string[] {
  return [...state.expected].filter((id) => isWaitedFor(state, phase, id));
}

/** True while an answer may still come, without asking more clients than it takes to find one. */
function someoneMayAnswer(state: ServerState, phase: Phase): boolean {
  for (const id of state.expected) if (isWaitedFor(state, phase, id) && !state.gone.has(id)) return true;
  return false;
}

function eject(state: ServerState, clientId: string, code: SecaggErrorCode, reason: string): ServerStep {
  return {
    state: { ...state, ejected: state.ejected.with(clientId, code) },
    effects: [{ kind: 'eject', clientId, code, reason }],
  };
}

function onAnswer(state: ServerState, from: string, name: Phase, signed: unknown): ServerStep {
  if (!state.cohort.has(from) || state.ejected.has(from)) return { state, effects: [] };
  try {
    const before = state.answers[name]?.get(from);
    if (before !== undefined) return repeated(state, from, name, before, signed);
    if (PHASES.indexOf(name) < PHASES.indexOf(state.phase as Phase)) {
      throw new TacitError<SecaggErrorCode>('SECAGG_DEADLINE', `${name} came after its phase had closed`);
    }
    if (name !== state.phase || !state.expected.has(from)) {
      throw new TacitError<SecaggErrorCode>('SECAGG_WRONG_PHASE', `${name} came in phase ${state.phase}`);
    }
    const body = openAnswer(state, from, name, signed);
    return {
      state: taken(state, from, name, { signed: signed as Signed, body }),
      effects: effectsOf(from, name, body),
    };
  } catch (error) {
    if (!(error instanceof TacitError)) throw error;
    return eject(state, from, error.code as SecaggErrorCode, error.message);
  }
}

function effectsOf(from: string, name: Phase, body: MessageBody<Phase>): ServerEffect[] {
  return name === 'masked' ? [{ kind: 'add', clientId: from, manifest: body as MessageBody<'masked'> }] : [];
}

/** The state with one checked answer more. Its sender is there. */
function taken(state: ServerState, from: string, name: Phase, answer: Answer<Phase>): ServerState {
  const known = state.answers[name] as GrowingMap<string, Answer<Phase>>;
  const answers = { ...state.answers, [name]: known.with(from, answer) } as Answers;
  const next = { ...state, answers, gone: without(state.gone, from) };
  if (name === 'advertise') {
    const { channelKey, maskKey } = answer.body as MessageBody<'advertise'>;
    return { ...next, advertisedKeys: state.advertisedKeys.with(channelKey, true).with(maskKey, true) };
  }
  if (name !== 'unmask') return next;
  const { shares } = answer.body as MessageBody<'unmask'>;
  return { ...next, complaints: withComplaints(state.complaints, shares) };
}

function without(ids: ReadonlySet<string>, id: string): ReadonlySet<string> {
  if (!ids.has(id)) return ids;
  const rest = new Set(ids);
  rest.delete(id);
  return rest;
}

/** The same message again is a retransmission. Another one under a good signature is equivocation; anything else is noise. */
function repeated(state: ServerState, from: string, name: Phase, before: Answer<Phase>, signed: unknown): ServerStep {
  const publicKey = (state.roster.get(from) as RosterEntry).publicKey;
  const again = openMessage(name, signed, publicKey);
  if (digestOf(again) === digestOf(before.body)) return { state, effects: [] };
  throw new TacitError<SecaggErrorCode>('SECAGG_EQUIVOCATION', `two different ${name} messages`);
}

/** Closes the phase when nobody is waited for, or when too few are left for it ever to succeed. */
function settle(step: ServerStep): ServerStep {
  const { state } = step;
  if (!isPhase(state.phase)) return step;
  const enough =
    state.phase === 'unmask' &&
    state.group !== undefined &&
    everyoneHolds(state.group) &&
    enoughAnswers(state.answers.unmask.size, state.complaints, state.config.threshold);
  if (!enough && mayReach(state, state.phase) && someoneMayAnswer(state, state.phase)) return step;
  return closePhase(state, step.effects);
}

/** True when the phase may end well, whoever of those that still have a seat answers. */
function mayReach(state: ServerState, phase: Phase): boolean {
  const least = needed(state, phase);
  if (state.expected.size - state.ejected.size >= least) return true;
  return waitedFor(state, phase).length + takenUp(state, phase).length >= least;
}

/** Answers of a phase that count when it closes: an upload is in the sum even if its sender was ejected later. */
function takenUp(state: ServerState, phase: Phase): readonly string[] {
  const answered = state.answers[phase];
  return [...state.expected].filter(
    (id) => answered.has(id) && (phase === 'masked' || phase === 'unmask' || !state.ejected.has(id)),
  );
}

function needed(state: ServerState, phase: Phase): number {
  const { threshold, minimumCohort, cohort, colluders } = state.config;
  if (phase === 'unmask') return threshold;
  if (phase === 'consistent') return signaturesNeeded({ cohortSize: cohort.length, colluders });
  return Math.max(threshold, minimumCohort);
}

/** Goes on with those who answered, if they are enough; those who did not lose their seat. */
function closePhase(state: ServerState, before: readonly ServerEffect[]): ServerStep {
  const phase = state.phase as Phase;
  const present = takenUp(state, phase);
  const least = needed(state, phase);
  if (present.length < least) {
    const reason = `${present.length} clients in phase ${phase} where ${least} are needed`;
    return abort(state, before, 'SECAGG_COHORT_TOO_SMALL', reason, []);
  }
  if (phase === 'unmask') return finish(state, before);
  const late = waitedFor(state, phase);
  const next = {
    ...state,
    ejected: late.reduce((ejected, id) => ejected.with(id, 'SECAGG_DEADLINE'), state.ejected),
    expected: new Set(present),
    phase: PHASES[PHASES.indexOf(phase) + 1] as Phase,
    group: nextGroup(state, phase, present),
  };
  const reason = `nothing came from it in phase ${phase}`;
  const ejections = late.map(
    (clientId): ServerEffect => ({ kind: 'eject', clientId, code: 'SECAGG_DEADLINE', reason }),
  );
  return settle({ state: next, effects: [...before, ...ejections, ...phaseEffects(next)] });
}

function nextGroup(state: ServerState, phase: Phase, present: readonly string[]): Group | undefined {
  const { group, answers, session } = state;
  if (phase === 'advertise') {
    const peers = present.map((id) => (answers.advertise.get(id) as Answer<'advertise'>).body);
    const sid = sidOf(session, peers);
    const positions = new Map(present.map((id, i) => [id, i]));
    return {
      sid,
      sidHex: hex(sid),
      peers,
      positions,
      graph: sessionGraph(peers.length, state.config.degree, sid),
      ladder: sessionLadder(state.config, peers.length),
      members: [],
      membersSet: new Set<string>(),
      survivors: [],
      survivorsSet: new Set<string>(),
    };
  }
  if (phase === 'shares') return { ...(group as Group), members: present, membersSet: new Set(present) };
  if (phase === 'masked') return { ...(group as Group), survivors: present, survivorsSet: new Set(present) };
  return group;
}

function phaseEffects(state: ServerState): ServerEffect[] {
  const phase = state.phase as Phase;
  const waiting = waitedFor(state, phase);
  const [first] = waiting;
  const common = phase === 'masked' || first === undefined ? undefined : phaseMessage(state, phase, first);
  const sends = waiting.map(
    (to): ServerEffect => ({ kind: 'send', to, ...(common ?? phaseMessage(state, phase, to)) }),
  );
  return [...sends, { kind: 'deadline', phase, timeoutMs: state.config.deadlines[`${phase}Ms`] }];
}

function finish(state: ServerState, effects: readonly ServerEffect[]): ServerStep {
  const result = reconstruct(state.group as Group, state.answers, state.config);
  if ('code' in result) return abort(state, effects, result.code, result.reason, result.culprits);
  const { survivors } = state.group as Group;
  return {
    state: { ...state, phase: 'finished' },
    effects: [...effects, { kind: 'unmask', ...result.plan }, { kind: 'finished', survivors, noise: result.noise }],
  };
}

function abort(
  state: ServerState,
  effects: readonly ServerEffect[],
  code: SecaggErrorCode,
  reason: string,
  culprits: readonly string[],
): ServerStep {
  return { state: { ...state, phase: 'aborted' }, effects: [...effects, { kind: 'abort', code, reason, culprits }] };
}
