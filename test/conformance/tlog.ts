import { readFileSync } from 'node:fs';
import { equalBytes, fromHex, hex, utf8 } from '../../shared/core/bytes.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { formatCheckpoint, openCheckpoint } from '../../shared/ledger/checkpoint.ts';
import { ALGORITHM, formatVkey, parseVkey, verifierKey } from '../../shared/ledger/keys.ts';
import { leafHash, MerkleTree, verifyConsistency, verifyInclusion } from '../../shared/ledger/merkle.ts';
import { formatNote, openNote, signLine } from '../../shared/ledger/note.ts';
import { formatProof, parseProof, verifyProof } from '../../shared/ledger/proof.ts';
import {
  formatEntryBundle,
  parseTilePath,
  type TileId,
  tileBytes,
  tilePath,
  tilesOf,
} from '../../shared/ledger/tiles.ts';
import { conformanceCommand } from './command.ts';

interface KeyVector {
  readonly name: string;
  readonly seedHex: string;
  readonly publicHex: string;
}

interface GoVectors {
  readonly logKey: KeyVector & { readonly vkey: string };
  readonly witnessKey: KeyVector & { readonly vkeyCosignatureV1: string };
  readonly leaf: Readonly<Record<string, string>>;
  readonly roots: Readonly<Record<string, string>>;
  readonly inclusion: readonly { readonly index: number; readonly size: number; readonly proof: readonly string[] }[];
  readonly consistency: readonly { readonly from: number; readonly to: number; readonly proof: readonly string[] }[];
  readonly paths: readonly {
    readonly level: number;
    readonly index: number;
    readonly width: number;
    readonly tile: string;
    readonly entries: string;
  }[];
  readonly layouts: readonly {
    readonly size: number;
    readonly levels: Readonly<Record<string, { readonly tiles: number; readonly last: string }>>;
  }[];
  readonly tiles300: readonly {
    readonly path: string;
    readonly bytes: number;
    readonly sha256: string;
    readonly firstHash?: string;
    readonly first64?: string;
  }[];
  readonly checkpoints: readonly {
    readonly size: number;
    readonly body: string;
    readonly signed: string;
    readonly cosigned: string;
    readonly cosignatureLine: string;
    readonly cosignatureTime: number;
  }[];
  readonly tlogProof: { readonly file: string; readonly index: number; readonly size: number };
  readonly mustReject: readonly { readonly note: string; readonly why: string }[];
}

export interface TlogVectors {
  readonly leavesHex?: readonly string[];
  readonly rootsHex?: readonly (string | null)[];
  readonly note?: { readonly text: string; readonly signatureLine: string; readonly verifierKey: string };
  readonly go?: Partial<GoVectors>;
}

export interface TlogReport {
  readonly checks: number;
  readonly failures: readonly string[];
}

/** Compares everything that the file holds with what this implementation makes of it. Sections it does not know are ignored. */
export function checkTlogVectors(vectors: TlogVectors): TlogReport {
  const failures: string[] = [];
  let checks = 0;
  const check: Check = (what, body) => {
    checks++;
    try {
      const problem = body();
      if (problem !== true) failures.push(`${what}: ${problem === false ? 'differs' : problem}`);
    } catch (error) {
      failures.push(`${what}: ${String(error)}`);
    }
  };
  referenceTree(vectors, check);
  if (vectors.go !== undefined) goVectors(vectors.go, check);
  return { checks, failures };
}

type Check = (what: string, body: () => boolean | string) => void;

function referenceTree({ leavesHex = [], rootsHex = [], note }: TlogVectors, check: Check): void {
  const tree = new MerkleTree();
  for (const [i, leaf] of leavesHex.entries()) {
    tree.append(leafHash(fromHex(leaf)));
    const expected = rootsHex[i + 1];
    if (typeof expected === 'string') check(`reference root of ${i + 1}`, () => hex(tree.root()) === expected);
  }
  if (note !== undefined) {
    const text = formatNote(note.text, [note.signatureLine]);
    check('note example', () => openNote(text, [parseVkey(note.verifierKey)]).body === note.text);
  }
}

function goVectors(go: Partial<GoVectors>, check: Check): void {
  const sizes = Object.keys(go.roots ?? {}).map(Number);
  const largest = Math.max(
    300,
    ...sizes,
    ...(go.consistency ?? []).map((c) => c.to),
    ...(go.inclusion ?? []).map((p) => p.size),
  );
  const tree = new MerkleTree();
  const entry = (i: number): Uint8Array => utf8(`{"kind":"test","seq":${i}}`);
  for (let i = 0; i < largest; i++) tree.append(leafHash(entry(i)));
  for (const [i, text] of Object.entries(go.leaf ?? {}))
    check(`leaf ${i}`, () => equalBytes(entry(Number(i)), utf8(text)));
  for (const [size, root] of Object.entries(go.roots ?? {}))
    check(`root of ${size}`, () => hex(tree.root(Number(size))) === root);
  proofs(go, tree, entry, check);
  tiles(go, tree, entry, check);
  notes(go, tree, entry, check);
}

function proofs(go: Partial<GoVectors>, tree: MerkleTree, entry: (i: number) => Uint8Array, check: Check): void {
  for (const { index, size, proof } of go.inclusion ?? []) {
    check(`inclusion of ${index} in ${size}`, () => sameList(tree.inclusionProof(index, size), proof));
    check(`inclusion of ${index} in ${size} verifies`, () => {
      verifyInclusion(index, size, leafHash(entry(index)), proof.map(fromHex), tree.root(size));
      return true;
    });
  }
  for (const { from, to, proof } of go.consistency ?? []) {
    check(`consistency ${from}→${to}`, () => sameList(tree.consistencyProof(from, to), proof));
    check(`consistency ${from}→${to} verifies`, () => {
      verifyConsistency(from, to, tree.root(from), tree.root(to), proof.map(fromHex));
      return true;
    });
  }
}

function tiles(go: Partial<GoVectors>, tree: MerkleTree, entry: (i: number) => Uint8Array, check: Check): void {
  for (const { level, index, width, tile, entries } of go.paths ?? []) {
    const id = { level, index, width: width === 0 ? 256 : width };
    check(`path ${tile}`, () => tilePath(id) === tile && JSON.stringify(parseTilePath(tile)) === JSON.stringify(id));
    check(
      `path ${entries}`,
      () => tilePath({ ...id, level: 'entries' }) === entries && parseTilePath(entries)?.level === 'entries',
    );
  }
  for (const { size, levels } of go.layouts ?? []) {
    check(`layout of ${size}`, () => {
      const found: Record<string, { tiles: number; last: string }> = {};
      for (const id of tilesOf(size)) found[id.level] = { tiles: id.index + 1, last: tilePath(id) };
      const expected = Object.fromEntries(
        Object.entries(levels).map(([l, v]) => [l, { tiles: v.tiles, last: v.last }]),
      );
      return JSON.stringify(found) === JSON.stringify(expected) ? true : JSON.stringify(found);
    });
  }
  for (const expected of go.tiles300 ?? []) {
    check(`tile ${expected.path}`, () => {
      const bytes = bytesOfTile(parseTilePath(expected.path) as TileId, tree, entry);
      const first = expected.firstHash ?? expected.first64 ?? '';
      return bytes.length === expected.bytes && sha256Hex(bytes) === expected.sha256 && hex(bytes).startsWith(first);
    });
  }
}

function bytesOfTile(id: TileId, tree: MerkleTree, entry: (i: number) => Uint8Array): Uint8Array {
  if (id.level !== 'entries') return tileBytes(tree, { ...id, level: id.level });
  return formatEntryBundle(Array.from({ length: id.width }, (_, i) => entry(id.index * 256 + i)));
}

function notes(go: Partial<GoVectors>, tree: MerkleTree, entry: (i: number) => Uint8Array, check: Check): void {
  if (go.logKey === undefined || go.witnessKey === undefined) return;
  const [log, witness] = [go.logKey, go.witnessKey];
  const logSigner = signerFromSeed(fromHex(log.seedHex));
  const witnessSigner = signerFromSeed(fromHex(witness.seedHex));
  const logKey = verifierKey(log.name, ALGORITHM.ed25519, logSigner.publicKey);
  const key = verifierKey(witness.name, ALGORITHM.cosignature, witnessSigner.publicKey);
  const keys = { log: [logKey], witnesses: [key] };
  check(
    'public keys',
    () => hex(logSigner.publicKey) === log.publicHex && hex(witnessSigner.publicKey) === witness.publicHex,
  );
  check('log vkey', () => formatVkey(logKey) === log.vkey && equalBytes(parseVkey(log.vkey).keyId, logKey.keyId));
  check('witness vkey', () => formatVkey(key) === witness.vkeyCosignatureV1);
  for (const c of go.checkpoints ?? []) {
    check(
      `checkpoint ${c.size}: body`,
      () => formatCheckpoint({ origin: log.name, size: c.size, root: tree.root(c.size) }) === c.body,
    );
    check(`checkpoint ${c.size}: signed`, () => formatNote(c.body, [signLine(c.body, logKey, logSigner)]) === c.signed);
    check(
      `checkpoint ${c.size}: cosignature`,
      () => `${signLine(c.body, key, witnessSigner, c.cosignatureTime)}\n` === c.cosignatureLine,
    );
    check(
      `checkpoint ${c.size}: opens`,
      () => openCheckpoint(c.cosigned, keys).witnesses[0]?.time === c.cosignatureTime,
    );
  }
  if (go.tlogProof !== undefined) {
    const { file, index, size } = go.tlogProof;
    check('tlog-proof verifies', () => verifyProof(file, entry(index), keys).index === index);
    check('tlog-proof made', () => {
      const { checkpoint } = parseProof(file);
      return formatProof({ index, hashes: tree.inclusionProof(index, size), checkpoint }) === file;
    });
  }
  for (const { note, why } of go.mustReject ?? []) {
    check(`rejects: ${why}`, () => {
      try {
        openCheckpoint(note, keys);
        return 'accepted';
      } catch (error) {
        return ['NOTE_INVALID', 'NOTE_UNSIGNED'].includes((error as { code: string }).code);
      }
    });
  }
}

function sameList(hashes: readonly Uint8Array[], expected: readonly string[]): boolean {
  return JSON.stringify(hashes.map(hex)) === JSON.stringify(expected);
}

await conformanceCommand(import.meta.url, 'npm run conformance:tlog -- FILE.json', ([file]) => {
  const { checks, failures } = checkTlogVectors(JSON.parse(readFileSync(file as string, 'utf8')));
  const lines = failures.map((failure) => `FAILED ${failure}`);
  return { lines, passed: checks - failures.length, failed: failures.length };
});
