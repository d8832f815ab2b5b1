import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorCode } from '../../shared/core/errors.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { openCheckpoint } from '../../shared/ledger/checkpoint.ts';
import { ALGORITHM, formatVkey, parseVkey, verifierKey } from '../../shared/ledger/keys.ts';
import { leafHash, MerkleTree, nodeHash, verifyConsistency, verifyInclusion } from '../../shared/ledger/merkle.ts';
import { formatProof, parseProof } from '../../shared/ledger/proof.ts';
import {
  formatEntryBundle,
  parseEntryBundle,
  parseTilePath,
  type TileId,
  tilePath,
  tilesOf,
} from '../../shared/ledger/tiles.ts';
import { testSigner } from '../support/ledger.ts';

const LARGEST = 700;
const tree = new MerkleTree();
const leaves: Uint8Array[] = [];
for (let i = 0; i < LARGEST; i++) {
  leaves.push(leafHash(new Uint8Array([i >> 8, i & 255])));
  tree.append(leaves[i] as Uint8Array);
}

/** RFC 6962 §2.1 as it is written, without any cache. */
function definition(from: number, to: number): Uint8Array {
  if (to - from === 1) return leaves[from] as Uint8Array;
  let k = 1;
  while (k * 2 < to - from) k *= 2;
  return nodeHash(definition(from, from + k), definition(from + k, to));
}

const sizes = fc.integer({ min: 1, max: LARGEST });
const pair = sizes.chain((to) => fc.tuple(fc.integer({ min: 1, max: to }), fc.constant(to)));

describe('Merkle tree', () => {
  it('the root of every size is that of the definition', () => {
    fc.assert(
      fc.property(sizes, (n) => {
        expect(tree.root(n)).toEqual(definition(0, n));
      }),
    );
  });

  it('every entry of every size has a proof that verifies', () => {
    fc.assert(
      fc.property(pair, ([i, n]) =>
        verifyInclusion(i - 1, n, leaves[i - 1] as Uint8Array, tree.inclusionProof(i - 1, n), tree.root(n)),
      ),
    );
  });

  it('every size extends every smaller one', () => {
    fc.assert(
      fc.property(pair, ([m, n]) => verifyConsistency(m, n, tree.root(m), tree.root(n), tree.consistencyProof(m, n))),
    );
  });

  it('no changed, shortened, lengthened or re-ordered proof verifies', () => {
    const mutation = fc.record({
      at: fc.nat(),
      bit: fc.integer({ min: 0, max: 255 }),
      how: fc.constantFrom('flip', 'drop', 'add', 'swap', 'index'),
    });
    fc.assert(
      fc.property(pair, mutation, ([i, n], { at, bit, how }) => {
        const proof = tree.inclusionProof(i - 1, n);
        const changed = mutated(proof, at, bit, how);
        fc.pre(how === 'index' ? n > 1 : changed !== undefined);
        const index = how === 'index' ? i % n : i - 1;
        expect(() => verifyInclusion(index, n, leaves[i - 1] as Uint8Array, changed ?? proof, tree.root(n))).toThrow(
          /does not hold|not in a tree/,
        );
      }),
    );
    fc.assert(
      fc.property(pair, mutation, ([m, n], { at, bit, how }) => {
        const changed = mutated(tree.consistencyProof(m, n), at, bit, how);
        fc.pre(changed !== undefined);
        expect(() => verifyConsistency(m, n, tree.root(m), tree.root(n), changed as Uint8Array[])).toThrow(
          /does not hold/,
        );
      }),
    );
  });

  it('no proof makes a forked tree consistent', () => {
    fc.assert(
      fc.property(pair, fc.nat(), ([m, n], at) => {
        const fork = new MerkleTree();
        for (let i = 0; i < n; i++)
          fork.append(i === at % m ? leafHash(new Uint8Array([9])) : (leaves[i] as Uint8Array));
        expect(() => verifyConsistency(m, n, tree.root(m), fork.root(n), fork.consistencyProof(m, n))).toThrow(
          /does not hold/,
        );
      }),
      { numRuns: 30 },
    );
  });
});

function mutated(proof: readonly Uint8Array[], at: number, bit: number, how: string): Uint8Array[] | undefined {
  const copy: Uint8Array[] = proof.map((h) => h.slice());
  if (how === 'add') return [...copy, new Uint8Array(32)];
  if (copy.length === 0) return undefined;
  const i = at % copy.length;
  const hash = copy[i] as Uint8Array;
  if (how === 'flip') hash[bit >> 3] = (hash[bit >> 3] as number) ^ (1 << (bit & 7));
  else if (how === 'drop') copy.splice(i, 1);
  else if (how === 'swap' && copy.length > 1) [copy[0], copy[1]] = [copy[1] as Uint8Array, copy[0] as Uint8Array];
  else return undefined;
  return copy;
}

describe('tiles', () => {
  it('every path reads back as the tile it names', () => {
    const id = fc.record({
      level: fc.oneof(fc.integer({ min: 0, max: 63 }), fc.constant('entries' as const)),
      index: fc.integer({ min: 0, max: 2 ** 45 }),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(
      fc.property(id, (tile: TileId) => {
        expect(parseTilePath(tilePath(tile))).toEqual(tile);
      }),
    );
  });

  it('the tiles of a size hold every leaf once and every level above what is complete below', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (size) => {
        const largest = Math.min(size, 2 ** 20);
        const widths = new Map<number, number>();
        for (const t of tilesOf(largest)) widths.set(t.level as number, (widths.get(t.level as number) ?? 0) + t.width);
        for (const [level, width] of widths) expect(width).toBe(Math.floor(largest / 256 ** level));
      }),
      { numRuns: 30 },
    );
  });

  it('an entry bundle gives back its entries', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 256 }), (entries) => {
        expect(parseEntryBundle(formatEntryBundle(entries))).toEqual(entries);
      }),
    );
  });
});

describe('what comes from other machines', () => {
  const key = verifierKey('tacit.test/l', ALGORITHM.ed25519, testSigner('log').publicKey);

  it('garbage is refused with a code, never anything else', () => {
    const garbage = fc.oneof(
      fc.string({ maxLength: 300 }),
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(fc.constantFrom('\n', '\n\n', '— ', 'a', ' ', '0', '+', '=', 'AAAA')).map((p) => p.join('')),
    );
    const refused = (body: () => unknown): void => {
      try {
        body();
      } catch (error) {
        expect(['NOTE_INVALID', 'NOTE_UNSIGNED']).toContain(errorCode(error));
        return;
      }
      throw new Error('accepted');
    };
    fc.assert(
      fc.property(garbage, (text) => {
        refused(() => openCheckpoint(text, { log: [key] }));
        refused(() => parseVkey(text));
        refused(() => parseProof(text));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (path) => {
        expect(parseTilePath(path)).toBeUndefined();
      }),
    );
  });

  it('keys and proof files survive their text', () => {
    const rng = seededRng('keys');
    fc.assert(
      fc.property(
        fc.stringMatching(/^[a-z0-9./-]{1,40}$/),
        fc.constantFrom(ALGORITHM.ed25519, ALGORITHM.cosignature),
        (name, algorithm) => {
          const k = verifierKey(name, algorithm, rng.bytes(32));
          expect(parseVkey(formatVkey(k))).toEqual(k);
        },
      ),
    );
    fc.assert(
      fc.property(
        fc.nat(),
        fc.nat({ max: 60 }),
        fc.option(fc.uint8Array({ minLength: 1, maxLength: 50 }), { nil: undefined }),
        (index, n, extra) => {
          const proof = {
            index,
            hashes: Array.from({ length: n }, () => rng.bytes(32)),
            checkpoint: 'x\n',
            ...(extra === undefined ? {} : { extra }),
          };
          expect(parseProof(formatProof(proof))).toEqual(proof);
        },
      ),
    );
  });
});
