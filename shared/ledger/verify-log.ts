import { equalBytes, hex } from '../core/bytes.ts';
import type { BundleFiles } from './bundle.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { MerkleTree } from './merkle.ts';
import { entryBundlesOf, parseEntryBundle, parseTile, type TileId, tileBytes, tilePath, tilesOf } from './tiles.ts';
import type { LogFindings } from './verify-findings.ts';

/** Entries out of the bundles of the signed size; what is missing is a failure. */
export function readEntries(size: number, files: BundleFiles, findings: LogFindings): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (const bundle of entryBundlesOf(size)) {
    const path = tilePath(bundle);
    const bytes = files.get(path);
    const found = bytes === undefined ? undefined : findings.attempt(path, () => parseEntryBundle(bytes));
    if (found?.length !== bundle.width) {
      const first = entries.length + (found?.length ?? 0);
      findings.fail(
        Math.min(first, size - 1),
        'ENTRIES_MISSING',
        `${path} does not hold its entries`,
        `${bundle.width} entries`,
        `${found?.length ?? 0} entries`,
      );
    }
    entries.push(...(found ?? []));
  }
  return entries;
}

/** Every tile of the signed size against the tree that the entries give. */
export function verifyTiles(
  tree: MerkleTree,
  { size, root }: Checkpoint,
  files: BundleFiles,
  findings: LogFindings,
): void {
  const complete = tree.size === size;
  const whole = complete && equalBytes(tree.root(), root);
  for (const tile of tilesOf(size)) {
    const path = tilePath(tile);
    const bytes = files.get(path);
    if (bytes === undefined)
      findings.fail(null, 'TILE_MISSING', `${path} is missing`, `${tile.width} hashes`, 'nothing');
    else if (tile.level === 0) verifyLeaves(path, tile, bytes, tree, whole, findings);
    else if (complete && !equalBytes(bytes, tileBytes(tree, tile as TileId & { level: number })))
      findings.fail(
        null,
        'TILE_WRONG',
        `${path} is not what the entries give`,
        'the hashes of complete subtrees',
        'others',
      );
  }
}

/** Level 0 names the entry: its hash in the tile against the hash of its bytes. */
function verifyLeaves(
  path: string,
  tile: TileId,
  bytes: Uint8Array,
  tree: MerkleTree,
  whole: boolean,
  findings: LogFindings,
): void {
  const hashes = findings.attempt(path, () => parseTile(bytes)) ?? [];
  if (hashes.length !== tile.width)
    findings.fail(
      null,
      'TILE_WRONG',
      `${path} has the wrong length`,
      `${tile.width} hashes`,
      `${hashes.length} hashes`,
    );
  for (const [i, hash] of hashes.entries()) {
    const index = tile.index * 256 + i;
    if (index >= tree.size) continue;
    const actual = tree.subtree(0, index);
    if (equalBytes(hash, actual)) continue;
    // If the entries give the signed root, it is the tile that was changed.
    if (whole)
      findings.fail(index, 'TILE_WRONG', `the leaf hash in ${path} is not that of the entry`, hex(actual), hex(hash));
    else
      findings.fail(
        index,
        'ENTRY_CHANGED',
        `the entry is not the one that ${path} was made of`,
        hex(hash),
        hex(actual),
      );
  }
}

/** The number of entries and their root against the checkpoint. */
export function verifyRoot(tree: MerkleTree, { size, root }: Checkpoint, findings: LogFindings): void {
  if (tree.size !== size)
    findings.fail(
      Math.min(tree.size, Math.max(0, size - 1)),
      'ENTRIES_MISSING',
      'the number of entries is not the signed one',
      `${size}`,
      `${tree.size}`,
    );
  else if (!equalBytes(tree.root(), root))
    findings.fail(
      null,
      'ROOT_WRONG',
      'the entries do not give the root in the checkpoint',
      hex(root),
      hex(tree.root()),
    );
}
