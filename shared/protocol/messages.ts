import { z } from 'zod';
import { base64, utf8 } from '../core/bytes.ts';
import { canonicalBytes } from '../core/canonical.ts';
import { TacitError } from '../core/errors.ts';
import { sha256, sha256Hex } from '../core/hash.ts';
import { LIMITS } from '../core/limits.ts';
import type { Signer } from '../core/signing.ts';
import { handoverSchema } from '../ledger/entries.ts';
import type { ProtocolErrorCode } from './errors.ts';
import type { Terms } from './terms.ts';
import type { AboutView, RunView } from './views.ts';

/** Spoken between coordinator and participants; both ends refuse any other. */
export const PROTOCOL_VERSION = 'tacit/1';

const b64 = (bytes: number) => z.base64().length(Math.ceil(bytes / 3) * 4);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const words = (max: number) => z.string().min(1).max(max);

/** Server → client, first thing on a connection. The hello signs its nonce, so a recorded hello opens nothing. */
export const challengeSchema = z.strictObject({
  protocol: z.string().max(32),
  nonce: b64(32),
  publicKey: b64(32),
  /** Changes of the coordinator's key, oldest first: a client that was invited under an earlier one follows them. */
  handovers: z.array(handoverSchema).max(100).default([]),
});
export type Challenge = z.infer<typeof challengeSchema>;

/** Client → server: who I am. Signed over protocol, nonce and coordinator key. */
export const helloSchema = z.strictObject({
  protocol: z.string().max(32),
  publicKey: b64(32),
  /** Invitation token; not needed again by a key that is enrolled. */
  token: z.string().max(128).nullable(),
  organisation: words(100),
  /** Size of this coordinator's ledger that the client verified last; the proof in the welcome starts there. */
  seen: z.number().int().min(0),
  /** Changes of the client's own key, from its first one on; absent while it has that one. */
  handovers: z.array(handoverSchema).max(100).optional(),
  signature: b64(64),
});
export type Hello = z.infer<typeof helloSchema>;

/** What the coordinator answers to a good hello. */
export interface Welcome {
  readonly clientId: string;
  /** Bearer token of this connection for the bulk path. */
  readonly session: string;
  readonly about: AboutView;
  readonly run: RunView;
  readonly terms: Terms;
  /** Of the plan's entry. */
  readonly proof: LedgerProof;
  /** Of the run's reservation: what this run will be charged, in the ledger before anybody joins. Null for a run that promises no privacy. */
  readonly reservation: LedgerProof | null;
}

export const ledgerProofSchema = z.strictObject({
  index: z.number().int().min(0),
  /** The stored entry, byte for byte. */
  entry: z.string().max(LIMITS.ledgerEntryBytes),
  checkpoint: z.string().max(1 << 20),
  inclusion: z.array(b64(32)).max(64),
  /** From the size in `since` to the checkpoint's. */
  since: z.number().int().min(0),
  consistency: z.array(b64(32)).max(128),
});
/** An entry of the coordinator's ledger with everything needed to check it against what was seen before. */
export type LedgerProof = z.infer<typeof ledgerProofSchema>;

/** Client → server: agreement to exactly one plan hash under the client's own policy. */
export const consentSchema = z.strictObject({
  run: words(64),
  planHash: hash,
  /** SHA-256 of the policy that allowed it; the policy itself stays with its owner. */
  policyHash: hash,
  /** Number of records the client brings; public by this consent. Null where the unit of privacy is the client: then it is what noise hides. */
  records: z.number().int().min(1).max(LIMITS.records).nullable(),
  /** How many privacy units they are: the records, the persons whose records they are, or 1 for the client itself. */
  units: z.number().int().min(1).max(LIMITS.records),
  engine: words(200),
  at: words(40),
  signature: b64(64),
});
export type Consent = z.infer<typeof consentSchema>;

export const refusalSchema = z.strictObject({
  run: words(64),
  planHash: hash,
  code: words(64),
  reason: words(500),
  at: words(40),
  signature: b64(64),
});
export type Refusal = z.infer<typeof refusalSchema>;

/** Either way: a signed message of the secure-aggregation protocol for one session. */
export const secaggSchema = z.strictObject({
  round: z.number().int().min(1),
  attempt: z.number().int().min(1),
  name: words(32),
  signed: z.unknown(),
});
export type SecaggFrame = z.infer<typeof secaggSchema>;

/** Why a participant cannot train in a round: nothing about its data. */
export const SIT_OUT_CODES = ['ENGINE_FAILED', 'OUT_OF_MEMORY', 'OUTSIDE_HOURS', 'BUDGET_SPENT'] as const;
export type SitOutCode = (typeof SIT_OUT_CODES)[number];

/** Client → server: this round goes on without me. Nobody waits for its deadline. */
export const sitOutSchema = z.strictObject({
  round: z.number().int().min(1),
  attempt: z.number().int().min(1),
  code: z.enum(SIT_OUT_CODES),
  /** It would be no use to invite this client again before so many milliseconds have passed. */
  retryAfterMs: z.number().int().min(0).max(86_400_000),
});
export type SitOut = z.infer<typeof sitOutSchema>;

/** Server → client: how a round ended. */
export const roundEndedSchema = z.strictObject({
  round: z.number().int().min(1),
  attempt: z.number().int().min(1),
  outcome: z.enum(['released', 'aborted']),
  reason: z.string().max(500).nullable(),
  proof: ledgerProofSchema,
});

/** Server → client: the run is over. `run` is a RunView, for reading; the proof is of its `plan.close` entry. */
export const runEndedSchema = z.strictObject({ run: z.looseObject({ id: words(64) }), proof: ledgerProofSchema });

const size = z.number().int().min(0);
const finite = z.number().min(0).max(1e15);
const stageTermsSchema = z.strictObject({
  index: size,
  dimension: z.number().int().min(1).max(LIMITS.updateElements),
  layoutSha256: hash,
  noiseMultiplier: finite,
  scale: finite,
  localSigma: finite,
});
/** What a welcome must be before any of it is used; `about` and `run` are for reading, the plan is parsed by its own schema. */
export const welcomeSchema = z.strictObject({
  clientId: words(64),
  session: words(128),
  about: z.looseObject({ origin: words(400) }),
  run: z.looseObject({ id: words(64), state: words(32), stages: z.array(z.looseObject({ roundsDone: size })).max(20) }),
  terms: z.strictObject({
    plan: z.unknown(),
    planHash: hash,
    model: z.array(z.strictObject({ name: words(200), sha256: hash, sizeBytes: size })).max(1000),
    stages: z.array(stageTermsSchema).min(1).max(20),
    guarantees: z.array(z.looseObject({ epsilon: finite, adversary: words(200) })).max(10),
  }),
  proof: ledgerProofSchema,
  reservation: ledgerProofSchema.nullable(),
});

/** Client → server: a witness's line for a checkpoint that it found consistent (C2SP tlog-cosignature). */
export const cosignSchema = z.strictObject({
  checkpointSize: z.number().int().min(0),
  line: words(1000),
  vkey: words(500),
});
export type Cosign = z.infer<typeof cosignSchema>;

/** Client → server: I saw the run's reservation in its place, and it is what I set aside myself. */
export const countersignSchema = z.strictObject({
  clientId: words(64),
  publicKey: b64(32),
  document: z.strictObject({ clientId: words(64), origin: words(400), index: z.number().int().min(0), leafHash: hash }),
  signature: b64(64),
});
export type Countersign = z.infer<typeof countersignSchema>;

/** Client → server: I verified the ledger up to `size`; prove that it still extends that, and that `index` is in it. */
export const seenSchema = z.strictObject({ size: z.number().int().min(0), index: z.number().int().min(0) });

/** Server → client, before a round whose cohort has somebody new: who takes part, and its entry in the ledger. */
export const rosterSchema = z.strictObject({
  clients: z
    .array(z.strictObject({ clientId: words(64), publicKey: b64(32), organisation: words(100) }))
    .max(LIMITS.cohortClients),
  proof: ledgerProofSchema,
});

export interface WireError {
  readonly code: string;
  readonly what: string;
  readonly where?: string;
  readonly fix?: string;
}

/** Every client message is acknowledged with one of these, after its effect is durable. */
export type Ack<T = undefined> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: WireError };

/** A message parsed by `schema`. @throws MESSAGE_INVALID naming the message and the first bad field */
export function parseMessage<S extends z.ZodType>(schema: S, value: unknown, message: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new TacitError<ProtocolErrorCode>(
    'MESSAGE_INVALID',
    `${issue?.path.join('.') || '(message)'}: ${issue?.message ?? 'invalid'}`,
    {
      where: message,
      fix: `Send it as ${PROTOCOL_VERSION} says (docs/PROTOCOL.md).`,
    },
  );
}

/** First 16 bytes (hex) of SHA-256 of the public key: an id that nobody else can claim. */
export function clientIdOf(publicKey: Uint8Array): string {
  return sha256Hex(publicKey).slice(0, 32);
}

/** Bytes that a control message's signature covers: `"tacit/1/<message>\0" ‖ SHA-256(RFC 8785 of the body without its signature)`. */
export function signedBytes(message: string, body: { readonly signature?: string }): Uint8Array {
  const { signature: _, ...rest } = body;
  const head = utf8(`${PROTOCOL_VERSION}/${message}\0`);
  const digest = sha256(canonicalBytes(rest));
  const out = new Uint8Array(head.length + digest.length);
  out.set(head);
  out.set(digest, head.length);
  return out;
}

/** The body with its signature by `signer`. */
export function withSignature<B extends object>(message: string, body: B, signer: Signer): B & { signature: string } {
  return { ...body, signature: base64(signer.sign(signedBytes(message, body))) };
}

/** What a hello signs besides itself. */
export function helloContext(hello: Omit<Hello, 'signature'>, challenge: Challenge): object {
  return { ...hello, nonce: challenge.nonce, coordinator: challenge.publicKey };
}

/** The wire form of any error; unknown errors become INTERNAL without their text. */
export function toWireError(error: unknown): WireError {
  if (error instanceof TacitError) return error.toJSON();
  return { code: 'INTERNAL', what: 'the other side failed; its log says why' };
}

export function fromWireError(error: WireError): TacitError {
  return new TacitError(error.code, error.what, {
    ...(error.where === undefined ? {} : { where: error.where }),
    ...(error.fix === undefined ? {} : { fix: error.fix }),
  });
}
