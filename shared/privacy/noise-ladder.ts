import { checked } from './errors.ts';

/**
 * How each client's noise is cut into components, so that what turns out not to be needed can be taken away again
 * (add-then-remove: Dordis, EuroSys 2024, §3.1). A sum of m clients, T_c of them colluding, needs σ²/(m − T_c) from each;
 * how many there will be is not known when the noise is added. With levels m_0 > … > m_K, components 0…k together have
 * variance σ²/(m_k − T_c), enough for a sum of m_k clients or more.
 */
export interface NoiseLadder {
  /** m_0…m_K: from everybody down to the smallest sum that is ever opened. Empty when the run promises no privacy. */
  readonly levels: readonly number[];
  /** Standard deviation of each component, in ring units; as many as levels. */
  readonly sigmas: readonly number[];
}

/** Most components beside the first. Up to 8 possible drops every count has its own level; above, levels are spread evenly. */
export const MOST_SURPLUS_COMPONENTS = 8;
/** Least σ of a component: sums of such discrete Gaussians are discrete Gaussian to 1e-60 (see mechanism-parameters). */
export const LEAST_COMPONENT_SIGMA = 4;
/** Makes up for the rounding of the square roots. */
const UP = 1 + 1e-12;

export interface LadderDemand {
  /** σ: what the honest clients of any opened sum have to keep in it together; 0 for a run without privacy. */
  readonly committedSigma: number;
  /** Clients that are expected in the sum: |U1|, on which the session id makes everybody agree. */
  readonly clients: number;
  /** Fewest clients whose sum is ever opened, more than `colluders`. */
  readonly minimumCohort: number;
  readonly colluders: number;
}

/** The same on every machine: nothing but IEEE additions, divisions and square roots. @throws PRIVACY_PARAMETER_INVALID */
export function noiseLadder({ committedSigma, clients, minimumCohort, colluders }: LadderDemand): NoiseLadder {
  checked('committedSigma', committedSigma, { min: 0 });
  checked('minimumCohort', minimumCohort, { min: colluders + 1, max: clients, integer: true });
  if (committedSigma === 0) return { levels: [], sigmas: [] };
  const drops = clients - minimumCohort;
  const surplus = Math.min(drops, MOST_SURPLUS_COMPONENTS);
  const levels = [clients];
  for (let k = 1; k <= surplus; k++) levels.push(clients - Math.floor((k * drops) / surplus));
  const shares = levels.map((m) => (committedSigma * committedSigma) / (m - colluders));
  const sigmas = shares.map((share, k) => {
    const sigma = Math.sqrt(share - (shares[k - 1] ?? 0)) * UP;
    return Math.max(sigma, LEAST_COMPONENT_SIGMA);
  });
  return { levels, sigmas };
}

/** How many components, from the first on, a sum of `survivors` keeps; the others are surplus. All, of a sum below every level. */
export function componentsNeeded({ levels }: NoiseLadder, survivors: number): number {
  const enough = levels.findIndex((m) => m <= survivors);
  return enough === -1 ? levels.length : enough + 1;
}

/** Variance that each client's first `count` components have together, in squared ring units. */
export function varianceOf({ sigmas }: NoiseLadder, count: number): number {
  return sigmas.slice(0, count).reduce((sum, sigma) => sum + sigma * sigma, 0);
}
