import { base64, hex } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Signer } from '../core/signing.ts';
import type { ClientRecord } from './client-checks.ts';
import * as checks from './client-checks.ts';
import { dealShares, eraseShares, openInbox } from './client-secrets.ts';
import type { ClientEffect, ClientEvent, ClientState, ClientStep, Fixed, Joined, Progress } from './client-state.ts';
import type { SecaggErrorCode } from './errors.ts';
import { sessionGraph } from './graph.ts';
import { erase, keyPair, pairMaskKey, rotationSeed, selfMaskKey, sharedSecret } from './keys.ts';
import type { MaskStream } from './mask.ts';
import {
  bytes,
  type ClientMessageName,
  type MessageBody,
  type Open,
  openSigned,
  type RosterEntry,
  type ServerMessageName,
  sidOf,
  signMessage,
  survivorsHash,
} from './messages.ts';
import { noiseOf, openedSeed, sessionLadder, surplusCount, surplusSeeds } from './noise-seeds.ts';
import { signaturesNeeded } from './parameters.ts';
import type { BlindedShare, HeldShares } from './shares.ts';
import { chunkCount } from './upload-shape.ts';

export interface ClientOptions {
  readonly clientId: string;
  readonly signer: Signer;
  readonly serverPublicKey: Uint8Array;
  /** The pinned roster. */
  readonly roster: Iterable<RosterEntry>;
  /** M0 as received. That the plan is in the log and the weights match their hash is the session's check, before training. */
  readonly config: unknown;
  readonly rng: Rng;
  /** Last record that this client persisted, in whatever run. */
  readonly last?: ClientRecord | undefined;
  /** Opens signed messages; `openSigned` unless said otherwise, by whoever runs many clients and opens the same message once. */
  readonly open?: Open;
}

/** Checks M0 and advertises fresh keys. Call it when training is done: a slow trainer then is not a dropout. */
export function startClient(options: ClientOptions): ClientStep {
  return guarded({ fixed: undefined, progress: { step: 'done' }, answered: new Map() }, () => {
    const { clientId, signer, serverPublicKey, rng, open = openSigned } = options;
    const { body: config, digest: session } = open('config', options.config, () => serverPublicKey);
    const roster = new Map([...options.roster].map((entry) => [entry.clientId, entry]));
    checks.checkNewer(config, session, options.last);
    checks.checkRoster(config, roster, clientId);
    checks.checkParameters(config);
    const needed = Math.max(config.minimumCohort, config.threshold);
    const fixed: Fixed = { clientId, signer, serverPublicKey, roster, rng, open, config, session, needed };
    const channel = keyPair(rng);
    const mask = keyPair(rng);
    const own = {
      session,
      clientId,
      channelKey: base64(channel.publicKey),
      maskKey: base64(mask.publicKey),
      nonce: base64(rng.bytes(32)),
    };
    return {
      state: { fixed, progress: { step: 'advertised', own, channel, mask }, answered: new Map() },
      effects: [record(fixed, 'joined', null), send(fixed, 'advertise', own)],
    };
  });
}

/** One step of the client. Never throws for what a server may send: it aborts with a code, secrets erased. */
export function clientReduce(state: ClientState, event: ClientEvent): ClientStep {
  const { fixed, progress } = state;
  const over = progress.step === 'aborted' || (progress.step === 'done' && event.kind !== 'message');
  if (fixed === undefined || over) return { state, effects: [] };
  return guarded(state, () => {
    if (event.kind === 'cancel') throw new TacitError<SecaggErrorCode>('SECAGG_CANCELLED', event.reason);
    if (event.kind === 'masked') return onMasked(state, fixed, event.chunks);
    return onMessage(state, fixed, event.name, event.signed);
  });
}

function onMessage(state: ClientState, fixed: Fixed, name: ServerMessageName, message: unknown): ClientStep {
  const { body, digest } = fixed.open(name, message, () => fixed.serverPublicKey);
  if (name === 'config') {
    checks.checkSession({ session: digest }, fixed.session);
    return { state, effects: [] };
  }
  const before = state.answered.get(name);
  if (before?.digest === digest) return { state, effects: before.reply };
  checks.checkFirst(before?.digest, name);
  const { progress, effects } = advance(state.progress, fixed, name, body);
  const reply = effects.filter((effect) => effect.kind === 'send');
  return { state: { ...state, progress, answered: new Map(state.answered).set(name, { digest, reply }) }, effects };
}

/** Order follows from what each step leaves behind; that no step is taken twice is `checkFirst`. */
interface Advance {
  readonly progress: Progress;
  readonly effects: readonly ClientEffect[];
}

function advance(progress: Progress, fixed: Fixed, name: ServerMessageName, body: unknown): Advance {
  if (name === 'keys' && progress.step === 'advertised') return onKeys(progress, fixed, body as MessageBody<'keys'>);
  if (name === 'inbox' && progress.step === 'shared') return onInbox(progress, fixed, body as MessageBody<'inbox'>);
  if (name === 'survivors' && (progress.step === 'uploaded' || progress.step === 'signed'))
    return onSurvivors(progress, fixed, body as MessageBody<'survivors'>);
  if (name === 'signatures' && progress.step === 'signed')
    return onSignatures(progress, fixed, body as MessageBody<'signatures'>);
  throw new TacitError<SecaggErrorCode>(
    'SECAGG_WRONG_PHASE',
    `${name} came while this client is at "${progress.step}"`,
    { where: name },
  );
}

/** M1 → M2: everybody's keys; deal the shares of both secrets. */
function onKeys(progress: Extract<Progress, { step: 'advertised' }>, fixed: Fixed, body: MessageBody<'keys'>): Advance {
  const { config, session, clientId, rng } = fixed;
  checks.checkSession(body, session);
  const cohort = new Set(config.cohort);
  const peers = body.advertisements.map((message) => checks.checkAdvertisement(message, fixed.roster, fixed.open));
  for (const peer of peers) checks.checkSession(peer, session);
  checks.checkDistinct(peers);
  checks.checkSortedSubset(
    peers.map((p) => p.clientId),
    cohort,
    'SECAGG_ROSTER',
    'keys',
  );
  const position = peers.findIndex((peer) => peer.clientId === clientId);
  checks.checkOwnEntry(progress.own, peers[position]);
  checks.checkCohort(peers.length, fixed.needed, 'keys');
  const sidBytes = sidOf(session, peers);
  const context = { sid: sidBytes, weightsSha256: config.weightsSha256, layoutSha256: config.layoutSha256 };
  const { channel, mask } = progress;
  const seed = rng.bytes(32);
  const noiseSeed = rng.bytes(32);
  const graph = sessionGraph(peers.length, config.degree, sidBytes);
  const ladder = sessionLadder(config, peers.length);
  const noise = surplusSeeds(noiseSeed, ladder, context, clientId);
  const { threshold } = config;
  const dealt = dealShares({ seed, mask, noise, channel, context, peers, graph, position, threshold, rng });
  erase(...noise.seeds, noise.end);
  const joined: Joined = { context, sid: hex(sidBytes), peers, graph, position, ladder, ownShare: dealt.own };
  return {
    progress: { step: 'shared', channel, mask, seed, noiseSeed, ...joined },
    effects: [send(fixed, 'shares', { session, sid: joined.sid, clientId, ...dealt.message })],
  };
}

/** M2 → M3: my neighbours' shares; derive the masks, then forget the keys. */
function onInbox(progress: Extract<Progress, { step: 'shared' }>, fixed: Fixed, body: MessageBody<'inbox'>): Advance {
  const { step: _, channel, mask, seed, noiseSeed, ...joined } = progress;
  checks.checkSession(body, fixed.session, joined.sid);
  const members = new Set(body.members);
  checks.checkSortedSubset(
    body.members,
    new Set(joined.peers.map((p) => p.clientId)),
    'SECAGG_SURVIVORS',
    'inbox.members',
  );
  if (!members.has(fixed.clientId))
    throw new TacitError<SecaggErrorCode>('SECAGG_OWN_ENTRY', 'this client is said not to have shared', {
      where: 'inbox',
    });
  checks.checkCohort(members.size, fixed.needed, 'inbox');
  const { graph, position, peers, context, ladder } = joined;
  const neighbours = graph.neighbours(position).flatMap((p) => {
    const peer = peers[p];
    return peer !== undefined && members.has(peer.clientId) ? [{ peer, position: p }] : [];
  });
  checks.checkHolders(neighbours.length + 1, fixed.config.threshold);
  const surplus = surplusCount(ladder);
  const held = openInbox({ body, neighbours, channel, context, graph, position, clientId: fixed.clientId, surplus });
  held.set(fixed.clientId, joined.ownShare);
  const streams: MaskStream[] = [{ key: selfMaskKey(seed, context, fixed.clientId), sign: 1 }];
  for (const { peer } of neighbours) {
    const secret = sharedSecret(mask.secretKey, bytes(peer.maskKey));
    streams.push({
      key: pairMaskKey(secret, context, fixed.clientId, peer.clientId),
      sign: fixed.clientId < peer.clientId ? 1 : -1,
    });
    erase(secret);
  }
  const noise = noiseOf(noiseSeed, ladder, context, fixed.clientId);
  erase(channel.secretKey, mask.secretKey, seed, noiseSeed);
  return {
    progress: { step: 'masking', ...joined, members, held },
    effects: [record(fixed, 'masked', null), { kind: 'mask', noise, streams, rotation: rotationSeed(context.sid) }],
  };
}

/** M3: the manifest of the masked upload. */
function onMasked(state: ClientState, fixed: Fixed, chunks: readonly string[]): ClientStep {
  const { progress } = state;
  const { session, clientId, config } = fixed;
  if (progress.step !== 'masking') {
    throw new TacitError<SecaggErrorCode>('SECAGG_WRONG_PHASE', `masked while this client is at "${progress.step}"`);
  }
  const expected = chunkCount(config);
  if (chunks.length !== expected) {
    throw new TacitError<SecaggErrorCode>('SECAGG_SHAPE', `${chunks.length} chunks where the session has ${expected}`);
  }
  const { dimension, chunkBytes } = config;
  const manifest = send(fixed, 'masked', {
    session,
    sid: progress.sid,
    clientId,
    dimension,
    chunkBytes,
    chunks: [...chunks],
  });
  const inbox = state.answered.get('inbox');
  const answered = new Map(state.answered);
  if (inbox !== undefined) answered.set('inbox', { digest: inbox.digest, reply: [manifest] });
  return { state: { ...state, progress: { ...progress, step: 'uploaded' }, answered }, effects: [manifest] };
}

/** M4: sign one survivor set, on stable storage before it leaves. */
function onSurvivors(
  progress: Extract<Progress, { step: 'masking' | 'uploaded' | 'signed' }>,
  fixed: Fixed,
  body: MessageBody<'survivors'>,
): Advance {
  const { session, clientId } = fixed;
  checks.checkSession(body, session, progress.sid);
  checks.checkSurvivors(body.survivors, progress.members, clientId);
  checks.checkCohort(body.survivors.length, fixed.needed, 'survivors');
  const signedHash = survivorsHash(progress.sid, body.survivors);
  return {
    progress: { ...progress, step: 'signed', survivors: body.survivors, survivorsHash: signedHash },
    effects: [
      record(fixed, 'signed', signedHash),
      send(fixed, 'consistent', { session, sid: progress.sid, clientId, survivorsHash: signedHash }),
    ],
  };
}

/**
 * M5: one share per neighbour, of the seed of a survivor or of the mask key of a dropped one, never both. With a survivor's
 * goes the share of the one seed that opens the noise which a sum of this very set does not need.
 */
function onSignatures(
  progress: Extract<Progress, { step: 'signed' }>,
  fixed: Fixed,
  body: MessageBody<'signatures'>,
): Advance {
  const { session, clientId, config, roster } = fixed;
  const { sid } = progress;
  checks.checkSession(body, session, sid);
  const survivors = new Set(progress.survivors);
  checks.checkSignatures(
    body.signatures,
    { session, sid, survivorsHash: progress.survivorsHash },
    survivors,
    roster,
    signaturesNeeded({ cohortSize: config.cohort.length, colluders: config.colluders }),
    fixed.open,
  );
  const opened = openedSeed(progress.ladder, survivors.size);
  const shares = [...progress.held].map(([of, held]) => answer(of, held, survivors.has(of), opened));
  const effects: ClientEffect[] = [
    record(fixed, 'answered', progress.survivorsHash),
    send(fixed, 'unmask', { session, sid, clientId, shares }),
    { kind: 'done' },
  ];
  eraseSecrets(progress);
  return { progress: { step: 'done' }, effects };
}

/** What a holder opens of one dealer: decided by the survivor set that it signed, and by nothing else. */
function answer(
  of: string,
  held: HeldShares | undefined,
  survived: boolean,
  opened: number | undefined,
): MessageBody<'unmask'>['shares'][number] {
  if (held === undefined) return { of, kind: 'complaint' };
  if (!survived) return { of, kind: 'key', ...encoded(held.key) };
  const surplus = opened === undefined ? null : encoded(held.surplus[opened] as BlindedShare);
  return { of, kind: 'seed', ...encoded(held.seed), surplus };
}

function encoded({ share, blinding }: BlindedShare): { share: string; blinding: string } {
  return { share: base64(share), blinding: base64(blinding) };
}

function record({ config, session }: Fixed, step: ClientRecord['step'], signedHash: string | null): ClientEffect {
  const { run, round, attempt } = config;
  return { kind: 'persist', record: { run, round, attempt, session, step, survivorsHash: signedHash } };
}

function send<N extends ClientMessageName>(fixed: Fixed, name: N, body: MessageBody<N>): ClientEffect {
  return { kind: 'send', name, signed: signMessage(name, body, fixed.signer) };
}

/** Runs a step; a coded error becomes the end of the session, with nothing secret left behind. */
function guarded(state: ClientState, step: () => ClientStep): ClientStep {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof TacitError)) throw error;
    eraseSecrets(state.progress);
    const code = error.code as SecaggErrorCode;
    return {
      state: { ...state, progress: { step: 'aborted', code, reason: error.message } },
      effects: [{ kind: 'abort', code, reason: error.message }],
    };
  }
}

function eraseSecrets(progress: Progress): void {
  if ('channel' in progress) erase(progress.channel.secretKey, progress.mask.secretKey);
  if ('seed' in progress) erase(progress.seed, progress.noiseSeed);
  const shares = 'held' in progress ? [...progress.held.values()] : 'ownShare' in progress ? [progress.ownShare] : [];
  for (const held of shares) if (held !== undefined) eraseShares(held);
}
