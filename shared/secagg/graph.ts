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
}

/** Everybody with everybody. */
export function completeGraph(size: number): Graph {
  const all = Array.from({ length: size }, (_, i) => i);
  return { size, neighbours: (position) => all.filter((other) => other !== position), holders: () => all };
}
