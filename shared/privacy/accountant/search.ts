/**
 * Least x in [low, high] with f(x) ≤ target for a non-increasing f with f(high) ≤ target, rounded up: the result is the
 * upper end of the last bisection bracket, a few units in the last place above the crossing.
 */
export function leastAtMost(f: (x: number) => number, target: number, low: number, high: number): number {
  if (f(low) <= target) return low;
  let below = low;
  let above = high;
  for (let i = 0; i < 200; i++) {
    const middle = below + (above - below) / 2;
    if (middle <= below || middle >= above) break;
    if (f(middle) <= target) above = middle;
    else below = middle;
  }
  return above;
}
