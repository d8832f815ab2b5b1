import { base64 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { SecaggErrorCode } from './errors.ts';
import type { Graph } from './graph.ts';
import { channelKey, erase, type KeyContext, type KeyPair, sharedSecret } from './keys.ts';
import { bytes, type MessageBody } from './messages.ts';
import { splitSecret } from './shamir.ts';
import {
  type BlindedShare,
  commitToNoise,
  commitToSeed,
  commitToShares,
  type HeldShares,
  openShares,
  opensCommitments,
  type ShareLabel,
  sealShares,
  sharesOf,
} from './shares.ts';

type Peer = MessageBody<'advertise'>;

interface Dealing {
  readonly seed: Uint8Array;
  readonly mask: KeyPair;
  /** s_1…s_K and the chain's end. */
  readonly noise: { readonly seeds: readonly Uint8Array[]; readonly end: Uint8Array };
  readonly channel: KeyPair;
  readonly context: KeyContext;
  readonly peers: readonly Peer[];
  readonly graph: Graph;
  readonly position: number;
  readonly threshold: number;
  readonly rng: Rng;
}

/**
 * Shares the self-mask seed, the mask key and the surplus seeds among the holders, sealed for each, with commitments to every
 * share.
 * @throws SECAGG_LOW_ORDER_KEY when a holder's channel key is degenerate
 */
export function dealShares(dealing: Dealing): {
  own: HeldShares;
  message: Pick<MessageBody<'shares'>, 'seedCommitment' | 'noiseCommitment' | 'shares'>;
} {
  const { seed, mask, noise, channel, context, peers, graph, position, threshold, rng } = dealing;
  const holders = graph.holders(position);
  const from = (peers[position] as Peer).clientId;
  const [ofSeed, ofKey, ...ofSurplus] = [seed, mask.secretKey, ...noise.seeds].map((secret) =>
    splitSecret(secret, holders.length, threshold, rng),
  );
  const blinded = (split: readonly Uint8Array[] | undefined, j: number): BlindedShare => ({
    share: split?.[j] as Uint8Array,
    blinding: rng.bytes(32),
  });
  let own: HeldShares | undefined;
  const shares = holders.map((holder, j) => {
    const peer = peers[holder] as Peer;
    const held: HeldShares = {
      seed: blinded(ofSeed, j),
      key: blinded(ofKey, j),
      surplus: ofSurplus.map((split) => blinded(split, j)),
    };
    const commitments = commitToShares({ sid: context.sid, from, to: peer.clientId, x: j + 1 }, held);
    const entry = {
      to: peer.clientId,
      seedCommitment: base64(commitments.seedCommitment),
      keyCommitment: base64(commitments.keyCommitment),
      surplusCommitments: commitments.surplusCommitments.map(base64),
    };
    if (holder === position) {
      own = held;
      return { ...entry, box: '' };
    }
    const secret = sharedSecret(channel.secretKey, bytes(peer.channelKey));
    const key = channelKey(secret, context, from, peer.clientId);
    const box = base64(sealShares(held, j + 1, key, rng));
    erase(secret, key);
    eraseShares(held);
    return { ...entry, box };
  });
  const seedCommitment = base64(commitToSeed(context.sid, from, seed));
  const noiseCommitment = base64(commitToNoise(context.sid, from, noise.end));
  return { own: own as HeldShares, message: { seedCommitment, noiseCommitment, shares } };
}

export function eraseShares(held: HeldShares): void {
  for (const { share, blinding } of sharesOf(held)) erase(share, blinding);
}

interface Opening {
  readonly body: MessageBody<'inbox'>;
  /** My neighbours in U2, in the order of the list. */
  readonly neighbours: readonly { readonly peer: Peer; readonly position: number }[];
  readonly channel: KeyPair;
  readonly context: KeyContext;
  readonly graph: Graph;
  readonly position: number;
  readonly clientId: string;
  /** K: surplus seeds that every dealer shares. */
  readonly surplus: number;
}

/**
 * Opens what neighbours sealed for me. A box that does not open, or not to its dealer's commitments, becomes `undefined`:
 * one bad dealer must not stop everybody; it is named when its share is missing.
 *
 * @throws SECAGG_SURVIVORS when the boxes are not exactly those of my neighbours among the members
 */
export function openInbox(opening: Opening): Map<string, HeldShares | undefined> {
  const { body, neighbours, channel, context, graph, position, clientId, surplus } = opening;
  const held = new Map<string, HeldShares | undefined>();
  if (body.shares.length !== neighbours.length) throw wrongBoxes();
  neighbours.forEach(({ peer, position: dealer }, i) => {
    const item = body.shares[i];
    if (item === undefined || item.from !== peer.clientId) throw wrongBoxes();
    const x = graph.shareOf(dealer, position);
    const secret = sharedSecret(channel.secretKey, bytes(peer.channelKey));
    const key = channelKey(secret, context, peer.clientId, clientId);
    const shares = openShares(bytes(item.box), x, key, surplus);
    erase(secret, key);
    const label: ShareLabel = { sid: context.sid, from: peer.clientId, to: clientId, x };
    const commitments = {
      seedCommitment: bytes(item.seedCommitment),
      keyCommitment: bytes(item.keyCommitment),
      surplusCommitments: item.surplusCommitments.map(bytes),
    };
    const honest = shares !== undefined && opensCommitments(label, shares, commitments);
    held.set(peer.clientId, honest ? shares : undefined);
  });
  return held;
}

function wrongBoxes(): TacitError<SecaggErrorCode> {
  return new TacitError('SECAGG_SURVIVORS', 'the boxes are not those of this client’s neighbours', { where: 'inbox' });
}
