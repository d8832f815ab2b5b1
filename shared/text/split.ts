import { type Rng, shuffle } from '../core/rng.ts';

/** Connected components: for each of `count` items the lowest index of its group. */
export function groupsOf(count: number, pairs: Iterable<readonly [number, number]>): Int32Array {
  const parent = Int32Array.from({ length: count }, (_, i) => i);
  const root = (i: number): number => {
    let at = i;
    while (parent[at] !== at) {
      parent[at] = parent[parent[at] as number] as number;
      at = parent[at] as number;
    }
    return at;
  };
  for (const [a, b] of pairs) {
    const [x, y] = [root(a), root(b)];
    parent[Math.max(x, y)] = Math.min(x, y);
  }
  return Int32Array.from(parent, (_, i) => root(i));
}

export interface Split {
  readonly train: number[];
  readonly validation: number[];
  readonly test: number[];
}

/**
 * Draws whole groups for the test set, then for validation; the rest trains. A group that would overfill a set goes on.
 * @param groupOf - group of each item
 * @param fraction - of all items, for validation and for test each; in (0, 0.5)
 */
export function splitGroups(groupOf: Int32Array, fraction: number, rng: Rng): Split {
  const members = membersOf(groupOf);
  const size = Math.round(fraction * groupOf.length);
  const split: Split = { train: [], validation: [], test: [] };
  for (const group of shuffle(rng, [...members.values()])) {
    const set = [split.test, split.validation].find((s) => s.length + group.length <= size) ?? split.train;
    set.push(...group);
  }
  for (const set of [split.train, split.validation, split.test]) set.sort((a, b) => a - b);
  return split;
}

/**
 * Shares items out to organisations so that all items of one origin (a mailing list, a sender's domain) lie in one
 * place: the largest origins first, each to the organisation that is furthest from its share.
 * @param originOf - origin of each item
 * @param shares - of the whole, adding up to 1
 */
export function shareOut(originOf: readonly string[], shares: readonly number[]): number[][] {
  const members = membersOf(originOf);
  const origins = [...members].sort(([a, x], [b, y]) => y.length - x.length || (a < b ? -1 : 1));
  const out: number[][] = shares.map(() => []);
  for (const [, items] of origins) {
    const missing = shares.map((share, i) => share * originOf.length - (out[i] as number[]).length);
    (out[missing.indexOf(Math.max(...missing))] as number[]).push(...items);
  }
  for (const items of out) items.sort((a, b) => a - b);
  return out;
}

function membersOf<K>(keyOf: ArrayLike<K>): Map<K, number[]> {
  const members = new Map<K, number[]>();
  for (let i = 0; i < keyOf.length; i++) {
    const key = keyOf[i] as K;
    const list = members.get(key);
    if (list === undefined) members.set(key, [i]);
    else list.push(i);
  }
  return members;
}
