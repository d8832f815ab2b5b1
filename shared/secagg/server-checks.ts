import { equalBytes } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { SecaggErrorCode } from './errors.ts';
import type { Graph } from './graph.ts';
import { isContributory, keyPairOf } from './keys.ts';
import { bytes, type MessageBody, type SecaggConfig } from './messages.ts';
import { boxBytes, commitToNoise, commitToSeed, commitToShare, type SecretKind, type ShareLabel } from './shares.ts';
import { chunkCount } from './upload-shape.ts';

/** What the server insists on from one client. A failure costs that client its seat and nobody else anything. */

function refuse(code: SecaggErrorCode, what: string, where: string): never {
  throw new TacitError<SecaggErrorCode>(code, what, { where });
}

/** The body speaks of this session and of its sender. */
export function checkAddress(
  body: { readonly session: string; readonly sid?: string; readonly clientId: string },
  expected: { readonly session: string; readonly sid: string | undefined; readonly from: string },
  where: string,
): void {
  if (body.clientId !== expected.from)
    refuse('SECAGG_MALFORMED', `sent by ${expected.from} in the name of ${body.clientId}`, where);
  if (body.session !== expected.session || (body.sid !== undefined && body.sid !== expected.sid)) {
    refuse('SECAGG_WRONG_SESSION', 'the message belongs to another session', where);
  }
}

/** Neither key makes zero secrets, and neither is somebody else's. @param taken - keys that others advertised */
export function checkKeys(body: MessageBody<'advertise'>, taken: { has(key: string): boolean }): void {
  if (!isContributory(bytes(body.channelKey)) || !isContributory(bytes(body.maskKey))) {
    refuse('SECAGG_LOW_ORDER_KEY', 'an advertised key has small order', 'advertise');
  }
  if (body.channelKey === body.maskKey) refuse('SECAGG_DUPLICATE', 'one key advertised for two purposes', 'advertise');
  if (taken.has(body.channelKey) || taken.has(body.maskKey))
    refuse('SECAGG_DUPLICATE', 'another client advertised this key', 'advertise');
}

/** One entry for each holder, in their order; a box for each but the dealer; as many surplus seeds as the session's noise has. */
export function checkShares(body: MessageBody<'shares'>, holders: readonly string[], surplus: number): void {
  const size = boxBytes(surplus);
  const complete =
    body.shares.length === holders.length &&
    body.shares.every(
      (entry, j) =>
        entry.to === holders[j] &&
        bytes(entry.box).length === (entry.to === body.clientId ? 0 : size) &&
        entry.surplusCommitments.length === surplus,
    );
  if (!complete) refuse('SECAGG_MALFORMED', 'the shares are not one for each holder', 'shares');
}

/** The upload has the session's shape. */
export function checkManifest(body: MessageBody<'masked'>, config: SecaggConfig): void {
  const chunks = chunkCount(config);
  if (body.dimension !== config.dimension || body.chunkBytes !== config.chunkBytes || body.chunks.length !== chunks) {
    refuse(
      'SECAGG_SHAPE',
      `${body.dimension} numbers in ${body.chunks.length} chunks where the session has ${config.dimension} in ${chunks}`,
      'masked',
    );
  }
}

export function checkSigned(body: MessageBody<'consistent'>, survivorsHash: string): void {
  if (body.survivorsHash !== survivorsHash) refuse('SECAGG_SURVIVORS', 'signed another survivor set', 'consistent');
}

/** Exactly one answer for each neighbour that shared, of the kind that the survivor set asks for. */
export function checkAnswers(
  body: MessageBody<'unmask'>,
  expected: ReadonlyMap<string, 'seed' | 'key'>,
  withSurplus: boolean,
): void {
  const of = new Set(body.shares.map((answer) => answer.of));
  const sound =
    of.size === body.shares.length &&
    of.size === expected.size &&
    body.shares.every((answer) => {
      if (answer.kind === 'complaint') return expected.has(answer.of);
      if (answer.kind === 'seed' && (answer.surplus !== null) !== withSurplus) return false;
      return answer.kind === expected.get(answer.of);
    });
  if (!sound) refuse('SECAGG_MALFORMED', 'not one answer for each neighbour', 'unmask');
}

/** The share is the one that its dealer committed to; otherwise its holder lies, for it accepted the commitment. */
export function checkShare(
  label: ShareLabel,
  kind: SecretKind,
  answer: { readonly share: string; readonly blinding: string },
  commitment: Uint8Array,
): void {
  const opened = commitToShare(label, kind, { share: bytes(answer.share), blinding: bytes(answer.blinding) });
  if (!equalBytes(opened, commitment)) {
    refuse('SECAGG_SHARE', `the share of ${label.from}’s ${kind} does not open its commitment`, 'unmask');
  }
}

/** The reconstructed seed is the committed one; otherwise its dealer lies, for every share opened its commitment. */
export function checkSeed(sid: Uint8Array, dealer: string, seed: Uint8Array, commitment: Uint8Array): void {
  if (!equalBytes(commitToSeed(sid, dealer, seed), commitment)) {
    refuse('SECAGG_RECONSTRUCTION', `${dealer} dealt shares that do not give the seed it committed to`, 'unmask');
  }
}

/** The opened noise seed leads to the committed end of its chain; otherwise its dealer lies, and what it gives is not its noise. */
export function checkNoise(sid: Uint8Array, dealer: string, end: Uint8Array, commitment: Uint8Array): void {
  if (!equalBytes(commitToNoise(sid, dealer, end), commitment)) {
    refuse('SECAGG_RECONSTRUCTION', `${dealer} dealt shares that do not give the noise it committed to`, 'unmask');
  }
}

/** The reconstructed key belongs to the advertised public key. */
export function checkMaskKey(dealer: string, secretKey: Uint8Array, publicKey: Uint8Array): void {
  if (!equalBytes(keyPairOf(secretKey).publicKey, publicKey)) {
    refuse('SECAGG_RECONSTRUCTION', `${dealer} dealt shares that do not give the key it advertised`, 'unmask');
  }
}

/** Names of the holders of `position` in the order of their share points. */
export function holderNames(graph: Graph, position: number, peers: readonly MessageBody<'advertise'>[]): string[] {
  return graph.holders(position).map((p) => (peers[p] as MessageBody<'advertise'>).clientId);
}
