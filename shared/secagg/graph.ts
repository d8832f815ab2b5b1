import { hex, utf8 } from '../core/bytes.ts';
import { sha256 } from '../core/hash.ts';
import { seededRng, shuffle } from '../core/rng.ts';

/** Who masks with whom and who holds whose shares, as positions 0…n−1 in the sorted list of participants. */
export interface Graph {
  readonly size: number;
  /** Sorted positions of the neighbours of `position`, without itself. */
  neighbours(position: number): readonly number[];
  /**
   * Sorted positions of those who hold the shares of `position`: its neighbours and itself. Holder j keeps the share at
   * x = j + 1.
   */
  holders(position: number): readonly number[];
  /** That x of `holder`, one of the holders of `position`, without their list. */
  shareOf(position: number, holder: number): number;
}

/** Everybody with everybody. */
export function completeGraph(size: number): Graph {
  const all = Array.from({ length: size }, (_, i) => i);
  return {
    size,
    neighbours: (position) => all.filter((other) => other !== position),
    holders: () => all,
    shareOf: (_, holder) => holder + 1,
  };
}

/**
 * The Harary graph H(degree, size) over a random order of the clients: each is tied to the degree/2 before and after it on a
 * ring (Bell et al. CCS 2020, §3.3). The order is a shuffle from the session id, which everybody's fresh nonce is in.
 *
 * @param degree - even, less than `size`
 */
export function hararyGraph(size: number, degree: number, sid: Uint8Array): Graph {
  const order = shuffle(
    seededRng(hex(sha256(utf8('secagg/1/graph\0'), sid))),
    Array.from({ length: size }, (_, i) => i),
  );
  const place = new Uint32Array(size);
  order.forEach((position, i) => {
    place[position] = i;
  });
  const around = (position: number, withItself: boolean): number[] => {
    const out: number[] = withItself ? [position] : [];
    for (let step = 1; step <= degree / 2; step++) {
      const at = place[position] as number;
      out.push(order[(at + step) % size] as number, order[(at - step + size) % size] as number);
    }
    return out.sort((a, b) => a - b);
  };
  const kept = (withItself: boolean): Graph['holders'] => {
    const known = new Map<number, readonly number[]>();
    return (position) => {
      const list = known.get(position) ?? around(position, withItself);
      known.set(position, list);
      return list;
    };
  };
  return {
    size,
    neighbours: kept(false),
    holders: kept(true),
    shareOf(position, holder) {
      const at = place[position] as number;
      let x = 1;
      for (let step = -degree / 2; step <= degree / 2; step++) {
        if ((order[(at + step + size) % size] as number) < holder) x++;
      }
      return x;
    },
  };
}

/** The session's graph: complete when the degree reaches everybody who is there. */
export function sessionGraph(size: number, degree: number, sid: Uint8Array): Graph {
  return degree >= size - 1 ? completeGraph(size) : hararyGraph(size, degree, sid);
}
