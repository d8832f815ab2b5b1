import { base64, fromBase64 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { LedgerErrorCode } from './errors.ts';
import { ALGORITHM, isKeyName, type VerifierKey } from './keys.ts';
import { HASH_BYTES } from './merkle.ts';
import { openNote, parseNote } from './note.ts';

/** C2SP tlog-checkpoint: the state of a log in three lines. */
export interface Checkpoint {
  /** A URL without scheme; also the name of the log's key. */
  readonly origin: string;
  /** Number of entries. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

export interface OpenedCheckpoint extends Checkpoint {
  readonly body: string;
  readonly logKey: VerifierKey;
  /** Every key of the log that signed and is known: two where one handed over to the other. */
  readonly logKeys: readonly VerifierKey[];
  /** Known witnesses that cosigned, each once. */
  readonly witnesses: readonly { readonly key: VerifierKey; readonly time: number }[];
  /** Signatures by keys that are not known here. */
  readonly unknownSignatures: number;
}

/** `origin LF size LF base64(root) LF` */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${base64(root)}\n`;
}

/** The body's three lines. Extension lines are refused: witnesses give them no meaning. @throws NOTE_INVALID */
export function parseCheckpointBody(body: string): Checkpoint {
  const [origin, size, root, rest, ...more] = body.split('\n');
  if (origin === undefined || size === undefined || root === undefined || rest !== '' || more.length > 0)
    throw invalid('a body has three lines');
  if (!isKeyName(origin)) throw invalid('the origin is empty or not a key name');
  if (!/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)))
    throw invalid('the size is not a plain decimal number');
  const checkpoint = { origin, size: Number(size), root: decodeRoot(root) };
  if (formatCheckpoint(checkpoint) !== body) throw invalid('written differently than it reads');
  return checkpoint;
}

/** The checkpoint in a note that nobody has verified yet: for finding keys and sizes, never for trust. @throws NOTE_INVALID */
export function peekCheckpoint(note: string): Checkpoint & { readonly body: string } {
  const { body } = parseNote(note);
  return { ...parseCheckpointBody(body), body };
}

/**
 * A checkpoint whose log signature and known cosignatures verify.
 * @param options.clockSeconds - with it, cosignatures from the future beyond `skewSeconds` (300) are refused
 * @throws NOTE_INVALID, NOTE_UNSIGNED
 */
export function openCheckpoint(
  note: string,
  keys: { readonly log: readonly VerifierKey[]; readonly witnesses?: readonly VerifierKey[] },
  options: { readonly clockSeconds?: number; readonly skewSeconds?: number } = {},
): OpenedCheckpoint {
  const opened = openNote(note, [...keys.log, ...(keys.witnesses ?? [])]);
  const checkpoint = parseCheckpointBody(opened.body);
  const logKeys = opened.verified.map((v) => v.key).filter((k) => k.algorithm === ALGORITHM.ed25519);
  const [logKey] = logKeys;
  if (logKey === undefined) throw unsigned('the log itself has not signed it');
  if (logKey.name !== checkpoint.origin)
    throw unsigned(`the origin is ${checkpoint.origin}, the key is of ${logKey.name}`);
  const witnesses = opened.verified.flatMap(({ key, time }) => (time === undefined ? [] : [{ key, time }]));
  const latest = (options.clockSeconds ?? Number.POSITIVE_INFINITY) + (options.skewSeconds ?? 300);
  const early = witnesses.find((w) => w.time > latest);
  if (early !== undefined) throw unsigned(`the cosignature of ${early.key.name} is from the future`);
  return { ...checkpoint, body: opened.body, logKey, logKeys, witnesses, unknownSignatures: opened.unknown.length };
}

function decodeRoot(text: string): Uint8Array {
  let root: Uint8Array;
  try {
    root = fromBase64(text);
  } catch {
    throw invalid('the root is not canonical base64');
  }
  if (root.length !== HASH_BYTES) throw invalid('the root is not 32 bytes');
  return root;
}

function invalid(why: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('NOTE_INVALID', `not a checkpoint: ${why}`);
}

function unsigned(why: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('NOTE_UNSIGNED', why, { fix: "Give the log's own verifier key." });
}
