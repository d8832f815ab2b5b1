import { base64 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { SecaggErrorCode } from './errors.ts';
import type { Graph } from './graph.ts';
import { channelKey, erase, type KeyContext, type KeyPair, sharedSecret } from './keys.ts';
import { bytes, type MessageBody } from './messages.ts';
import { splitSecret } from './shamir.ts';
import {
  commitToSeed,
  commitToShare,
  openShares,
  opensCommitments,
  type ShareLabel,
  type SharePair,
  sealShares,
} from './shares.ts';

type Peer = MessageBody<'advertise'>;

interface Dealing {
  readonly seed: Uint8Array;
  readonly mask: KeyPair;
  readonly channel: KeyPair;
  readonly context: KeyContext;
  readonly peers: readonly Peer[];
  readonly graph: Graph;
  readonly position: number;
  readonly threshold: number;
  readonly rng: Rng;
}

/**
 * Shares the self-mask seed and the mask key among the holders, sealed for each, with commitments to every share.
 * @throws SECAGG_LOW_ORDER_KEY when a holder's channel key is degenerate
 */
export function dealShares(dealing: Dealing): {
  own: SharePair;
  message: Pick<MessageBody<'shares'>, 'seedCommitment' | 'shares'>;
} {
  const { seed, mask, channel, context, peers, graph, position, threshold, rng } = dealing;
  const holders = graph.holders(position);
  const from = (peers[position] as Peer).clientId;
  const seedShares = splitSecret(seed, holders.length, threshold, rng);
  const keyShares = splitSecret(mask.secretKey, holders.length, threshold, rng);
  let own: SharePair | undefined;
  const shares = holders.map((holder, j) => {
    const peer = peers[holder] as Peer;
    const pair: SharePair = {
      seed: { share: seedShares[j] as Uint8Array, blinding: rng.bytes(32) },
      key: { share: keyShares[j] as Uint8Array, blinding: rng.bytes(32) },
    };
    const label: ShareLabel = { sid: context.sid, from, to: peer.clientId, x: j + 1 };
    const entry = {
      to: peer.clientId,
      seedCommitment: base64(commitToShare(label, 'seed', pair.seed)),
      keyCommitment: base64(commitToShare(label, 'key', pair.key)),
    };
    if (holder === position) {
      own = pair;
      return { ...entry, box: '' };
    }
    const secret = sharedSecret(channel.secretKey, bytes(peer.channelKey));
    const key = channelKey(secret, context, from, peer.clientId);
    const box = base64(sealShares(pair, j + 1, key, rng));
    erase(secret, key, pair.seed.share, pair.seed.blinding, pair.key.share, pair.key.blinding);
    return { ...entry, box };
  });
  return { own: own as SharePair, message: { seedCommitment: base64(commitToSeed(context.sid, from, seed)), shares } };
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
}

/**
 * Opens what neighbours sealed for me. A box that does not open, or not to its dealer's commitments, becomes `undefined`:
 * one bad dealer must not stop everybody; it is named when its share is missing.
 *
 * @throws SECAGG_SURVIVORS when the boxes are not exactly those of my neighbours among the members
 */
export function openInbox(opening: Opening): Map<string, SharePair | undefined> {
  const { body, neighbours, channel, context, graph, position, clientId } = opening;
  const held = new Map<string, SharePair | undefined>();
  if (body.shares.length !== neighbours.length) throw wrongBoxes();
  neighbours.forEach(({ peer, position: dealer }, i) => {
    const item = body.shares[i];
    if (item === undefined || item.from !== peer.clientId) throw wrongBoxes();
    const x = graph.holders(dealer).indexOf(position) + 1;
    const secret = sharedSecret(channel.secretKey, bytes(peer.channelKey));
    const key = channelKey(secret, context, peer.clientId, clientId);
    const pair = openShares(bytes(item.box), x, key);
    erase(secret, key);
    const label: ShareLabel = { sid: context.sid, from: peer.clientId, to: clientId, x };
    const honest =
      pair !== undefined && opensCommitments(label, pair, bytes(item.seedCommitment), bytes(item.keyCommitment));
    held.set(peer.clientId, honest ? pair : undefined);
  });
  return held;
}

function wrongBoxes(): TacitError<SecaggErrorCode> {
  return new TacitError('SECAGG_SURVIVORS', 'the boxes are not those of this client’s neighbours', { where: 'inbox' });
}
