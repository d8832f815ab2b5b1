import { base64, fromBase64 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { type OpenedCheckpoint, openCheckpoint } from './checkpoint.ts';
import type { LedgerErrorCode } from './errors.ts';
import type { VerifierKey } from './keys.ts';
import { HASH_BYTES, leafHash, verifyInclusion } from './merkle.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';

/** C2SP tlog-proof: everything that shows one entry to be in a log, in one text file. */
export interface TlogProof {
  readonly index: number;
  /** Leaf's sibling first, root's child last. */
  readonly hashes: readonly Uint8Array[];
  /** The whole signed checkpoint. */
  readonly checkpoint: string;
  /** Unauthenticated; nothing may depend on it. */
  readonly extra?: Uint8Array;
}

export function formatProof({ index, hashes, checkpoint, extra }: TlogProof): string {
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${base64(extra)}`]),
    `index ${index}`,
    ...hashes.map(base64),
  ];
  return `${lines.join('\n')}\n\n${checkpoint}`;
}

/** @throws NOTE_INVALID */
export function parseProof(text: string): TlogProof {
  const at = text.indexOf('\n\n');
  if (at < 0) throw invalid('no empty line before the checkpoint');
  const [header, ...lines] = text.slice(0, at).split('\n');
  if (header !== HEADER) throw invalid(`it does not begin with ${HEADER}`);
  const extra = lines[0]?.startsWith('extra ') ? decode((lines.shift() as string).slice(6)) : undefined;
  const [, index] = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? '') ?? [];
  if (index === undefined) throw invalid('no index line');
  if (lines.length > 64) throw invalid('over 64 hashes');
  const hashes = lines.map(decode);
  if (hashes.some((h) => h.length !== HASH_BYTES)) throw invalid('a hash is not 32 bytes');
  return { index: Number(index), hashes, checkpoint: text.slice(at + 2), ...(extra === undefined ? {} : { extra }) };
}

/**
 * Shows that `entry` is entry number `index` of the log whose key is given.
 * @throws NOTE_INVALID, NOTE_UNSIGNED, PROOF_INVALID
 */
export function verifyProof(
  text: string,
  entry: Uint8Array,
  keys: { readonly log: readonly VerifierKey[]; readonly witnesses?: readonly VerifierKey[] },
): { readonly index: number; readonly checkpoint: OpenedCheckpoint } {
  const proof = parseProof(text);
  const checkpoint = openCheckpoint(proof.checkpoint, keys);
  verifyInclusion(proof.index, checkpoint.size, leafHash(entry), proof.hashes, checkpoint.root);
  return { index: proof.index, checkpoint };
}

function decode(text: string): Uint8Array {
  try {
    return fromBase64(text);
  } catch {
    throw invalid('a line is not canonical base64');
  }
}

function invalid(why: string): TacitError<LedgerErrorCode> {
  return new TacitError<LedgerErrorCode>('NOTE_INVALID', `not a tlog-proof file: ${why}`);
}
