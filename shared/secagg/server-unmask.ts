import { TacitError } from '../core/errors.ts';
import type { NoiseComponent } from '../privacy/component-noise.ts';
import { componentsNeeded, varianceOf } from '../privacy/noise-ladder.ts';
import type { SecaggErrorCode } from './errors.ts';
import { erase, type KeyContext, pairMaskKey, selfMaskKey, sharedSecret } from './keys.ts';
import type { MaskStream, UnmaskPlan } from './mask.ts';
import { bytes, type MessageBody, type SecaggConfig } from './messages.ts';
import { openedSeed, surplusOf } from './noise-seeds.ts';
import * as checks from './server-checks.ts';
import type { Answer, Group, NoiseLeft } from './server-state.ts';
import { combineShares } from './shamir.ts';

interface Given {
  readonly shares: ReadonlyMap<string, Answer<'shares'>>;
  readonly unmask: ReadonlyMap<string, Answer<'unmask'>>;
}

/** The sum cannot be opened, and whose fault that is. */
export interface Failure {
  readonly code: SecaggErrorCode;
  readonly reason: string;
  readonly culprits: readonly string[];
}

interface Point {
  readonly x: number;
  readonly share: Uint8Array;
}

interface Opened {
  readonly shares: Point[];
  /** Of the seed of the surplus noise; as many as `shares` when there is one to open. */
  readonly surplus: Point[];
  readonly complaints: string[];
}

/** Checked shares of each member's one secret, by share point, and who complained about the dealer. */
function collect(group: Group, given: Given): Map<string, Opened> {
  const opened = new Map(
    group.members.map((id): [string, Opened] => [id, { shares: [], surplus: [], complaints: [] }]),
  );
  for (const [holder, { body }] of given.unmask) {
    const position = group.positions.get(holder) as number;
    for (const answer of body.shares) {
      const secret = opened.get(answer.of) as Opened;
      if (answer.kind === 'complaint') secret.complaints.push(holder);
      else {
        const x = group.graph.shareOf(group.positions.get(answer.of) as number, position);
        secret.shares.push({ x, share: bytes(answer.share) });
        if (answer.kind === 'seed' && answer.surplus !== null)
          secret.surplus.push({ x, share: bytes(answer.surplus.share) });
      }
    }
  }
  return opened;
}

/** Complaints about each dealer, with those of one more answer. */
export function withComplaints(
  before: ReadonlyMap<string, number>,
  answers: MessageBody<'unmask'>['shares'],
): ReadonlyMap<string, number> {
  const against = answers.filter(({ kind }) => kind === 'complaint');
  if (against.length === 0) return before;
  const all = new Map(before);
  for (const { of } of against) all.set(of, (all.get(of) ?? 0) + 1);
  return all;
}

/**
 * True when every secret has its threshold of shares, on the complete graph, where every answer speaks of every member:
 * nobody needs to wait for a frozen client.
 */
export function enoughAnswers(answers: number, complaints: ReadonlyMap<string, number>, threshold: number): boolean {
  return answers - Math.max(0, ...complaints.values()) >= threshold;
}

/** Everything to take away from the sum, and the noise that stays in it. */
export interface Reconstruction {
  readonly plan: UnmaskPlan;
  readonly noise: NoiseLeft;
}

/**
 * Reconstructs the seed of each survivor and the mask key of each dropped client, checks both against what their dealer
 * advertised, and lists the streams to take away, with the noise of each survivor that a sum of this size does not need.
 */
export function reconstruct(group: Group, given: Given, config: SecaggConfig): Reconstruction | Failure {
  const survivors = group.survivorsSet;
  const context: KeyContext = {
    sid: group.sid,
    weightsSha256: config.weightsSha256,
    layoutSha256: config.layoutSha256,
  };
  const selfSeeds: MaskStream[] = [];
  const pairwise: MaskStream[] = [];
  const surplus: NoiseComponent[] = [];
  const unremoved: string[] = [];
  for (const [dealer, { shares, surplus: points, complaints }] of collect(group, given)) {
    if (shares.length < config.threshold) return missing(dealer, shares.length, complaints, config);
    const secret = combineShares(shares.slice(0, config.threshold));
    try {
      if (survivors.has(dealer)) {
        const dealt = given.shares.get(dealer) as Answer<'shares'>;
        checks.checkSeed(group.sid, dealer, secret, bytes(dealt.body.seedCommitment));
        selfSeeds.push({ key: selfMaskKey(secret, context, dealer), sign: -1 });
        const noise = openSurplus(group, context, dealer, points.slice(0, config.threshold), dealt);
        if (noise === undefined) unremoved.push(dealer);
        else surplus.push(...noise);
      } else pairwise.push(...leftBehind(group, context, dealer, secret, survivors));
    } catch (error) {
      if (!(error instanceof TacitError)) throw error;
      return { code: error.code as SecaggErrorCode, reason: error.message, culprits: [dealer] };
    } finally {
      erase(secret);
    }
  }
  const noise = { sigma: sigmaLeft(group, unremoved.length), unremoved };
  return { plan: { selfSeeds, pairwise, surplus }, noise };
}

/**
 * The surplus noise of a survivor; undefined when its shares do not give what it committed to. Then its noise stays in the
 * sum, which is more private than promised and no reason to throw it away.
 */
function openSurplus(
  group: Group,
  context: KeyContext,
  dealer: string,
  points: readonly Point[],
  dealt: Answer<'shares'>,
): readonly NoiseComponent[] | undefined {
  const position = openedSeed(group.ladder, group.survivors.length);
  if (position === undefined) return [];
  const seed = combineShares(points);
  const { surplus, end } = surplusOf(seed, position, group.ladder, context, dealer);
  erase(seed);
  try {
    checks.checkNoise(group.sid, dealer, end, bytes(dealt.body.noiseCommitment));
    return surplus;
  } catch (error) {
    if (!(error instanceof TacitError)) throw error;
    return undefined;
  }
}

/** Standard deviation of what all survivors leave in the sum together. */
function sigmaLeft({ ladder, survivors }: Group, unremoved: number): number {
  const needed = varianceOf(ladder, componentsNeeded(ladder, survivors.length));
  const all = varianceOf(ladder, ladder.sigmas.length);
  return Math.sqrt(needed * (survivors.length - unremoved) + all * unremoved);
}

/** The masks that the surviving neighbours of a dropped client applied with it, to be taken away again. */
function leftBehind(
  group: Group,
  context: KeyContext,
  dropped: string,
  secretKey: Uint8Array,
  survivors: ReadonlySet<string>,
): MaskStream[] {
  const position = group.positions.get(dropped) as number;
  checks.checkMaskKey(dropped, secretKey, bytes((group.peers[position] as MessageBody<'advertise'>).maskKey));
  return group.graph.neighbours(position).flatMap((p) => {
    const { clientId, maskKey } = group.peers[p] as MessageBody<'advertise'>;
    if (!survivors.has(clientId)) return [];
    const secret = sharedSecret(secretKey, bytes(maskKey));
    const key = pairMaskKey(secret, context, clientId, dropped);
    erase(secret);
    return [{ key, sign: clientId < dropped ? (-1 as const) : (1 as const) }];
  });
}

/** Too few shares: more complaints than colluders means that an honest holder complained, so the dealer lied. */
function missing(dealer: string, shares: number, complaints: readonly string[], config: SecaggConfig): Failure {
  const lied = complaints.length > config.colluders;
  return {
    code: lied ? 'SECAGG_SHARE' : 'SECAGG_COHORT_TOO_SMALL',
    reason: `${shares} shares of ${dealer}’s secret where ${config.threshold} are needed; ${complaints.length} holder(s) say theirs did not open`,
    culprits: lied ? [dealer] : [],
  };
}
