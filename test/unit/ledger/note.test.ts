import { describe, expect, it } from 'vitest';
import { base64 } from '../../../shared/core/bytes.ts';
import { formatCheckpoint, openCheckpoint } from '../../../shared/ledger/checkpoint.ts';
import { ALGORITHM, formatVkey, parseVkey, verifierKey } from '../../../shared/ledger/keys.ts';
import { leafHash, MerkleTree } from '../../../shared/ledger/merkle.ts';
import { formatNote, openNote, parseNote, signLine } from '../../../shared/ledger/note.ts';
import { witnessCheckpoint, witnessKey } from '../../../shared/ledger/witness.ts';
import { testSigner, tickingClock } from '../../support/ledger.ts';
import { flipped } from '../../support/run-ledger.ts';

const signer = testSigner('log');
const key = verifierKey('tacit.test/l', ALGORITHM.ed25519, signer.publicKey);
const body = 'tacit.test/l\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n';
const line = signLine(body, key, signer);

describe('signed notes', () => {
  it('a known key with a bad signature rejects the note, beside good ones too', () => {
    const other = verifierKey('other.test/l', ALGORITHM.ed25519, testSigner('other').publicKey);
    const bad = `\u2014 other.test/l ${flipped(signLine(body, other, testSigner('other')).split(' ')[2] as string)}`;
    const note = formatNote(body, [line, bad]);
    expect(openNote(note, [key]).unknown).toHaveLength(1);
    expect(() => openNote(note, [key, other])).toThrow(/other\.test/);
  });

  it('one key twice counts once', () => {
    expect(openNote(formatNote(body, [line, line]), [key]).verified).toHaveLength(1);
  });

  it('a text with empty lines splits at the last one', () => {
    const long = 'first\n\nsecond\n';
    expect(parseNote(formatNote(long, [signLine(long, key, signer)])).body).toBe(long);
  });

  it('refuses over 100 signatures, over 1 MB, control characters', () => {
    expect(() => openNote(formatNote(body, Array(101).fill(line)), [key])).toThrow(/100 signatures/);
    expect(() => openNote(formatNote(`${'x'.repeat(1_000_000)}\n`, [line]), [key])).toThrow(/bytes/);
    expect(() => openNote(formatNote('a\tb\n', [line]), [key])).toThrow(/control/);
  });

  it('a signer cannot sign under the name of another key', () => {
    expect(() => signLine(body, key, testSigner('other'))).toThrow(/not the key/);
  });

  it('refuses keys whose id is not theirs, or of an unknown type', () => {
    const text = formatVkey(key);
    expect(() => parseVkey(text.replace(/\+[0-9a-f]{8}\+/, '+00000000+'))).toThrow(/key id should be/);
    expect(() => parseVkey(`x+00000000+${base64(new Uint8Array(33).fill(9))}`)).toThrow(/type 9/);
    expect(() => parseVkey('x+00000000+AQ==')).toThrow(/32 bytes/);
    expect(() => verifierKey('a b', ALGORITHM.ed25519, signer.publicKey)).toThrow(/white space/);
  });

  it('a checkpoint with an extension line is refused', () => {
    const extended = `${body}more\n`;
    expect(() => openCheckpoint(formatNote(extended, [signLine(extended, key, signer)]), { log: [key] })).toThrow(
      /three lines/,
    );
  });
});

describe('witness', () => {
  const tree = new MerkleTree();
  for (let i = 0; i < 9; i++) tree.append(leafHash(new Uint8Array([i])));
  const at = (size: number, of = tree): string => {
    const text = formatCheckpoint({ origin: key.name, size, root: of.root(size) });
    return formatNote(text, [signLine(text, key, signer)]);
  };
  const witness = (checkpoint: string, lastSeen: { size: number; root: Uint8Array } | undefined, proof: Uint8Array[]) =>
    witnessCheckpoint({
      lastSeen,
      checkpoint,
      proof,
      logKey: key,
      name: 'w.test/w',
      signer: testSigner('w'),
      clock: tickingClock(),
    });

  it('cosigns what extends the last seen, with its time', () => {
    const first = witness(at(4), undefined, []);
    const second = witness(at(9), first.seen, tree.consistencyProof(4, 9));
    expect(second).toMatchObject({ seen: { size: 9 }, extended: true });
    const note = `${at(9)}${second.line}\n`;
    const opened = openCheckpoint(note, { log: [key], witnesses: [witnessKey('w.test/w', testSigner('w').publicKey)] });
    expect(opened.witnesses[0]?.time).toBe(Date.parse('2026-03-01T09:00:01Z') / 1000);
    expect(witness(at(9), second.seen, []).extended).toBe(false);
  });

  it('refuses a rollback, a fork, a wrong proof and another root for one size', () => {
    const seen = { size: 4, root: tree.root(4) };
    const fork = new MerkleTree();
    for (let i = 0; i < 9; i++) fork.append(leafHash(new Uint8Array([i === 2 ? 99 : i])));
    expect(() => witness(at(3), seen, [])).toThrow(/cannot extend/);
    expect(() => witness(at(9, fork), seen, fork.consistencyProof(4, 9))).toThrow(/does not hold/);
    expect(() => witness(at(9), seen, tree.consistencyProof(3, 9))).toThrow(/does not hold/);
    expect(() => witness(at(4, fork), seen, [])).toThrow(/two roots/);
  });

  it('refuses a checkpoint by another log key', () => {
    const other = testSigner('other');
    const text = formatCheckpoint({ origin: key.name, size: 4, root: tree.root(4) });
    const forged = formatNote(text, [signLine(text, verifierKey(key.name, ALGORITHM.ed25519, other.publicKey), other)]);
    expect(() => witness(forged, undefined, [])).toThrow(/no signature by a key/);
  });

  it('a cosignature from the future beyond the skew is refused', () => {
    const { line: cosignature } = witness(at(4), undefined, []);
    const keys = { log: [key], witnesses: [witnessKey('w.test/w', testSigner('w').publicKey)] };
    const now = Date.parse('2026-03-01T09:00:00Z') / 1000;
    expect(openCheckpoint(`${at(4)}${cosignature}\n`, keys, { clockSeconds: now }).size).toBe(4);
    expect(() => openCheckpoint(`${at(4)}${cosignature}\n`, keys, { clockSeconds: now - 1000 })).toThrow(/future/);
  });
});
