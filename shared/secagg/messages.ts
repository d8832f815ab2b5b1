import { z } from 'zod';
import { base64, concat, fromBase64, fromHex, hex, utf8 } from '../core/bytes.ts';
import { canonicalBytes } from '../core/canonical.ts';
import { TacitError } from '../core/errors.ts';
import { sha256 } from '../core/hash.ts';
import { LIMITS } from '../core/limits.ts';
import { type Signer, verifySignature } from '../core/signing.ts';
import { RING_BITS } from '../kernels/packing.ts';
import { MOST_SURPLUS_COMPONENTS } from '../privacy/noise-ladder.ts';
import type { SecaggErrorCode } from './errors.ts';
import { boxBytes } from './shares.ts';

/** The messages of secagg/1. Every body is attacker-controlled until `openMessage` has returned it. */
export const SECAGG_PROTOCOL = 'secagg/1';

/** Bounds every list. */
const MAX_CLIENTS = LIMITS.sessionClients;

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const b64 = (bytes: number) =>
  z
    .string()
    .length(Math.ceil(bytes / 3) * 4)
    .regex(/^[A-Za-z0-9+/]*={0,2}$/);
const id = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/);
const ids = z.array(id).max(MAX_CLIENTS);
const count = (max: number) => z.number().int().min(0).max(max);
const positive = z.number().positive().max(1e15);
const deadline = z
  .number()
  .int()
  .min(1)
  .max(7 * 24 * 3_600_000);

const config = z
  .strictObject({
    protocol: z.literal(SECAGG_PROTOCOL),
    run: id,
    round: z.number().int().min(1).max(1e9),
    /** 1 for the first session of a round, +1 for each retry. */
    attempt: z.number().int().min(1).max(1e6),
    stage: count(1000),
    /** SHA-256 of the pinned roster; see `rosterHash`. */
    rosterHash: hash,
    /** The clients invited, sorted: n of the threshold rule. */
    cohort: ids,
    weightsSha256: hash,
    layoutSha256: hash,
    /** Where the plan stands in the public log, and the proof of it. Checked by the ledger client, bound here. */
    ledger: z.strictObject({
      index: count(Number.MAX_SAFE_INTEGER),
      checkpoint: z.string().max(1 << 20),
      inclusion: z.array(z.string().max(100)).max(64),
    }),
    /** d: numbers in the vector. */
    dimension: z.number().int().min(1).max(LIMITS.updateElements),
    /** b: sums are taken mod 2^b, and words of b bits travel. Below 32 the vector is rotated, see shared/privacy/rotation. */
    ringBits: z.literal(RING_BITS),
    /** s: ring units per 1.0. */
    scale: positive,
    /** C: Euclidean bound that the engine enforced. */
    l2Clip: positive,
    /**
     * σ of the discrete Gaussian noise that the honest clients of any opened sum have in it together, in ring units; each
     * client's noise follows from it, see noise-ladder. 0 where the run promises no privacy.
     */
    committedSigma: z.number().min(0).max(1e8),
    minimumCohort: count(MAX_CLIENTS),
    /** T_c. */
    colluders: count(MAX_CLIENTS),
    /** t; recomputed by every client. */
    threshold: count(MAX_CLIENTS),
    /** Neighbours in the mask graph; recomputed by every client. */
    degree: count(MAX_CLIENTS),
    deadlines: z.strictObject({
      /** Includes training. */
      advertiseMs: deadline,
      sharesMs: deadline,
      maskedMs: deadline,
      consistentMs: deadline,
      unmaskMs: deadline,
    }),
    chunkBytes: z.number().int().min(4).max(LIMITS.chunkBytes).multipleOf(4),
  })
  // No word lies in two chunks.
  .refine(({ chunkBytes, ringBits }) => (8 * chunkBytes) % ringBits === 0, 'a chunk is whole words')
  // What a manifest may list, before a client makes it.
  .refine(
    (shape) => (shape.dimension * shape.ringBits) / 8 <= LIMITS.uploadChunks * shape.chunkBytes,
    'too many chunks',
  );

const advertise = z.strictObject({
  session: hash,
  clientId: id,
  channelKey: b64(32),
  maskKey: b64(32),
  nonce: b64(32),
});

/** What travels: the body and an Ed25519 signature over `"secagg/1/<message>\0" ‖ SHA-256(RFC 8785 of the body)`. */
const signed = z.strictObject({ body: z.unknown(), signature: b64(64) });
const signedBodies = z.array(signed).max(MAX_CLIENTS);

/** Base64 of at most `bytes` bytes; how many it has to be depends on the session and is checked there. */
const b64UpTo = (bytes: number) =>
  z
    .string()
    .max(Math.ceil(bytes / 3) * 4)
    .regex(/^[A-Za-z0-9+/]*={0,2}$/);

const commitments = {
  seedCommitment: b64(32),
  keyCommitment: b64(32),
  /** To the shares of s_1…s_K. */
  surplusCommitments: z.array(b64(32)).max(MOST_SURPLUS_COMPONENTS),
  box: b64UpTo(boxBytes(MOST_SURPLUS_COMPONENTS)),
};
const shares = z.strictObject({
  session: hash,
  sid: hash,
  clientId: id,
  seedCommitment: b64(32),
  /** To the end of the chain of noise seeds. */
  noiseCommitment: b64(32),
  /** In the order of the holders; the client's own entry has an empty box. */
  shares: z.array(z.strictObject({ to: id, ...commitments })).max(255),
});

const inbox = z.strictObject({
  session: hash,
  sid: hash,
  /** U2: everyone who shared, sorted. */
  members: ids,
  /** From each neighbour in U2, in the order of the members. */
  shares: z.array(z.strictObject({ from: id, ...commitments })).max(255),
});

const masked = z.strictObject({
  session: hash,
  sid: hash,
  clientId: id,
  dimension: z.number().int().min(1).max(LIMITS.updateElements),
  chunkBytes: z.number().int().min(4).max(LIMITS.chunkBytes),
  /** SHA-256 of each chunk. */
  chunks: z.array(hash).max(LIMITS.uploadChunks),
});

const opened = { share: b64(32), blinding: b64(32) };
const unmaskShare = z.discriminatedUnion('kind', [
  z.strictObject({
    of: id,
    kind: z.literal('seed'),
    ...opened,
    /** Of the one seed that opens the surplus noise of a sum of this size; null when all noise is needed. */
    surplus: z.strictObject(opened).nullable(),
  }),
  z.strictObject({ of: id, kind: z.literal('key'), ...opened }),
  /** The box did not open, or not to its commitments. */
  z.strictObject({ of: id, kind: z.literal('complaint') }),
]);

const schemas = {
  config,
  advertise,
  keys: z.strictObject({ session: hash, advertisements: signedBodies }),
  shares,
  inbox,
  masked,
  survivors: z.strictObject({ session: hash, sid: hash, survivors: ids }),
  consistent: z.strictObject({ session: hash, sid: hash, clientId: id, survivorsHash: hash }),
  signatures: z.strictObject({ session: hash, sid: hash, signatures: signedBodies }),
  unmask: z.strictObject({ session: hash, sid: hash, clientId: id, shares: z.array(unmaskShare).max(255) }),
} as const;

export type MessageName = keyof typeof schemas;
export type MessageBody<N extends MessageName> = z.output<(typeof schemas)[N]>;
export type SecaggConfig = MessageBody<'config'>;

/** Messages that the server sends and those that a client sends. */
export const SERVER_MESSAGES = ['config', 'keys', 'inbox', 'survivors', 'signatures'] as const;
export const CLIENT_MESSAGES = ['advertise', 'shares', 'masked', 'consistent', 'unmask'] as const;
export type ServerMessageName = (typeof SERVER_MESSAGES)[number];
export type ClientMessageName = (typeof CLIENT_MESSAGES)[number];

export interface Signed {
  readonly body: unknown;
  /** Base64, 64 bytes. */
  readonly signature: string;
}

/** @param digest - of the body, hex */
function coveredBytes(name: MessageName, digest: string): Uint8Array {
  return concat(utf8(`${SECAGG_PROTOCOL}/${name}\0`), fromHex(digest));
}

export function signMessage<N extends MessageName>(name: N, body: MessageBody<N>, signer: Signer): Signed {
  return { body, signature: base64(signer.sign(coveredBytes(name, digestOf(body)))) };
}

function malformed(name: MessageName, what: string, cause?: unknown): TacitError<SecaggErrorCode> {
  return new TacitError('SECAGG_MALFORMED', what, { where: name, fix: 'Send it as docs/PROTOCOL.md says.', cause });
}

/** The body of a message whose signature is checked elsewhere or not yet. @throws SECAGG_MALFORMED */
export function parseBody<N extends MessageName>(name: N, message: unknown): MessageBody<N> {
  const outer = signed.safeParse(message);
  if (!outer.success) throw malformed(name, 'not a signed message', outer.error);
  const inner = schemas[name].safeParse(outer.data.body);
  if (!inner.success) {
    const issue = inner.error.issues[0];
    throw malformed(name, `${issue?.path.join('.') || '(body)'}: ${issue?.message ?? 'invalid'}`, inner.error);
  }
  return inner.data as MessageBody<N>;
}

export interface Opened<N extends MessageName> {
  readonly body: MessageBody<N>;
  /** See `digestOf`. */
  readonly digest: string;
}

/**
 * Parses a message and checks its signature (strict Ed25519) against the key of whom its body says it is from.
 * @throws SECAGG_MALFORMED, SECAGG_SIGNATURE, what `keyOf` throws
 */
export type Open = <N extends MessageName>(
  name: N,
  message: unknown,
  keyOf: (body: MessageBody<N>) => Uint8Array,
) => Opened<N>;

export const openSigned: Open = (name, message, keyOf) => {
  const body = parseBody(name, message);
  const key = keyOf(body);
  const digest = digestOf(body);
  if (!verifySignature(key, coveredBytes(name, digest), bytes((message as Signed).signature))) {
    throw new TacitError<SecaggErrorCode>('SECAGG_SIGNATURE', 'the signature does not verify against the pinned key', {
      where: name,
    });
  }
  return { body, digest };
};

/** The body of a message under a known key. @throws SECAGG_MALFORMED, SECAGG_SIGNATURE */
export function openMessage<N extends MessageName>(name: N, message: unknown, publicKey: Uint8Array): MessageBody<N> {
  return openSigned(name, message, () => publicKey).body;
}

/** Base64 of a schema-checked field. @throws SECAGG_MALFORMED for a second spelling of the same bytes */
export function bytes(text: string): Uint8Array {
  try {
    return fromBase64(text);
  } catch (cause) {
    throw new TacitError<SecaggErrorCode>('SECAGG_MALFORMED', 'not canonical base64', { cause });
  }
}

/** H(M0): names the session in every message. Hex. */
export function sessionOf(body: SecaggConfig): string {
  return digestOf(body);
}

/** SHA-256 (hex) of any canonical value: equal content, equal digest. */
export function digestOf(value: unknown): string {
  return hex(sha256(canonicalBytes(value)));
}

/** A participant as everyone pinned it. */
export interface RosterEntry {
  readonly clientId: string;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** SHA-256 (hex) of the sorted list of `[clientId, base64 of the key]`. */
export function rosterHash(roster: Iterable<RosterEntry>): string {
  const rows = [...roster].map((r) => [r.clientId, base64(r.publicKey)] as const);
  return digestOf(rows.sort((a, b) => (a[0] < b[0] ? -1 : 1)));
}

/** Session id: SHA-256 of H(M0) and everybody's `[id, channelKey, maskKey, nonce]`, sorted by id. 32 bytes. */
export function sidOf(session: string, advertisements: Iterable<MessageBody<'advertise'>>): Uint8Array {
  const rows = [...advertisements].map((a) => [a.clientId, a.channelKey, a.maskKey, a.nonce] as const);
  rows.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return sha256(utf8('secagg/1/sid\0'), canonicalBytes([session, rows]));
}

/** H(U3), hex: what a consistency signature covers. */
export function survivorsHash(sid: string, survivors: readonly string[]): string {
  return digestOf(['secagg/1/survivors', sid, survivors]);
}
