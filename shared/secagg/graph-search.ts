import { MAX_SHARES } from './shamir.ts';

/** What a graph has to withstand. */
export interface GraphDemand {
  /** n: clients. */
  readonly clients: number;
  /** T_c: colluding clients. */
  readonly colluders: number;
  /** Clients that may vanish. */
  readonly drops: number;
}

/**
 * Most that the server may gain by a graph that puts too many colluders around one client: 2^-100. Bell et al. (CCS 2020) ask
 * for 2^-40; but colluders choose their nonces after the server has seen the others', so it can try many graphs: 60 bits
 * are left to such grinding.
 */
export const ATTACK_LOG2 = -100;
/** Least chance, as a power of two, that a session fails although no more than `drops` clients vanish. */
export const FAILURE_LOG2 = -30;

/** ln(k!) for k = 0…n. */
function logFactorials(n: number): Float64Array {
  const out = new Float64Array(n + 1);
  for (let k = 1; k <= n; k++) out[k] = (out[k - 1] as number) + Math.log(k);
  return out;
}

/** log2 of P[X ≥ least] for X hypergeometric: `draws` of `population`, of which `marked` count. −∞ when impossible. */
function tailLog2(population: number, marked: number, draws: number, least: number, lf: Float64Array): number {
  const choose = (n: number, k: number): number => (lf[n] as number) - (lf[k] as number) - (lf[n - k] as number);
  const most = Math.min(marked, draws);
  let sum = 0;
  let scale = Number.NEGATIVE_INFINITY;
  for (let x = Math.max(least, 0, draws - (population - marked)); x <= most; x++) {
    const log = choose(marked, x) + choose(population - marked, draws - x) - choose(population, draws);
    if (log > scale) {
      sum = sum * Math.exp(scale - log) + 1;
      scale = log;
    } else sum += Math.exp(log - scale);
  }
  return sum === 0 ? Number.NEGATIVE_INFINITY : (scale + Math.log(sum)) / Math.LN2;
}

/**
 * Smallest even degree k, with a threshold t, for which a random Harary graph holds, by the union bound over the clients, in
 * the smallest session that n_min allows, where colluders stand densest:
 * - no client has so many colluders c among its neighbours that both of its secrets gather t answers, or that t holders
 *   mask with it and t others answer for it: its k + 1 holders give one answer each, colluders two, so that takes
 *   2t ≤ k + 1 + c (Bell et al. 2020, Definition 3.2, with the own share);
 * - no part of the ring can be cut off and summed by itself, whoever is said to have dropped: at each of two cuts a client
 *   has nobody beside it for k/2 places but colluders, and with itself and the k/2 of the other side t answers, so that
 *   takes c ≥ t − 1 − k/2 in both of two disjoint stretches, whose counts are negatively associated;
 * - every client keeps t of its neighbours when `drops` vanish.
 *
 * @returns undefined when no degree up to 254 (share points of GF(2^8)) does
 */
export function searchGraph({
  clients,
  colluders,
  drops,
}: GraphDemand): { degree: number; threshold: number } | undefined {
  const lf = logFactorials(clients);
  const union = Math.log2(clients);
  for (let degree = 8; degree < Math.min(clients, MAX_SHARES); degree += 2) {
    const others = Math.max(clients - drops - 1, degree);
    const bothSecrets = (threshold: number): number =>
      union + tailLog2(others, colluders, degree, 2 * threshold - degree - 1, lf);
    const twoCuts = (threshold: number): number =>
      2 * (union + tailLog2(others, colluders, degree / 2, threshold - degree / 2 - 1, lf)) - 1;
    // Raising t helps against the attacks and hurts the survival: take the smallest t that is safe.
    for (let threshold = degree / 2 + 1; threshold <= degree; threshold++) {
      if (Math.max(bothSecrets(threshold), twoCuts(threshold)) > ATTACK_LOG2) continue;
      if (union + tailLog2(clients - 1, drops, degree, degree - threshold + 1, lf) <= FAILURE_LOG2)
        return { degree, threshold };
      break;
    }
  }
  return undefined;
}
