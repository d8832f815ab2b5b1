import { upperTail } from './normal.ts';

/**
 * The privacy loss distribution of one release on the grid {i·interval}, by connect-the-dots (Doroshenko, Ghazi,
 * Kamath, Kumar, Manurangsi, PETS 2022): the pessimistic distribution whose hockey-stick curve is exact at every grid
 * point. `masses[k]` is the probability, under the upper distribution, of the loss (low + k)·interval.
 */
export interface LossDistribution {
  readonly interval: number;
  readonly low: number;
  readonly masses: Float64Array;
  /** Probability counted as infinite loss: what lies beyond the truncation points. */
  readonly infinity: number;
}

/** Both directions of one release: the unit is in the upper distribution's data (removing) or in the lower's (adding). */
export interface DirectedLosses {
  readonly removing: LossDistribution;
  readonly adding: LossDistribution;
}

/** Gauss–Legendre nodes on [−1, 1] (positive half) with weights, for 2, 4 and 8 points. */
const RULES = {
  narrow: { nodes: [0.5773502691896257], weights: [1] },
  middle: { nodes: [0.33998104358485626, 0.8611363115940526], weights: [0.6521451548625461, 0.34785484513745385] },
  wide: {
    nodes: [0.1834346424956498, 0.525532409916329, 0.7966664774136267, 0.9602898564975363],
    weights: [0.362683783378362, 0.31370664587788727, 0.22238103445337448, 0.10122853629037626],
  },
} as const;
type Rule = (typeof RULES)[keyof typeof RULES];

/** Truncation in standard deviations: beyond ±13σ lies less than 1.3e-38. */
const REACH = 13;

/** Range of the loss ln(1 − q + q·e^l) that is kept for one release: [lowest, highest]. */
export function lossRange(sigma: number, q: number): [number, number] {
  return [lossAt(-REACH * sigma, sigma, q), lossAt(1 + REACH * sigma, sigma, q)];
}

function lossAt(x: number, sigma: number, q: number): number {
  const l = (2 * x - 1) / (2 * sigma * sigma);
  return l > 30 ? l + Math.log(q) + Math.log1p(((1 - q) / q) * Math.exp(-l)) : Math.log1p(q * Math.expm1(l));
}

/** One release's P-mass by buckets [ε_k, ε_{k+1}], ε_k = (low + k)·interval: what goes to the upper end, and to the lower. */
export interface Buckets {
  readonly interval: number;
  readonly low: number;
  readonly up: Float64Array;
  readonly down: Float64Array;
}

/**
 * The Poisson-subsampled Gaussian, upper P = (1 − q)N(0, σ²) + qN(1, σ²) against lower Q = N(0, σ²).
 *
 * A bucket [ε_i, ε_{i+1}] sends its mass to its two ends so that both its P- and its Q-mass are kept. With r = dP/dQ the
 * parts are ∫φ(r − r_i)/(1 − e^{−h}) for the upper end and ∫φ(r_{i+1} − r)e^{−h}/(1 − e^{−h}) for the lower: integrals of
 * positive functions, taken by quadrature, so nothing cancels (differences of tails would lose eight digits here).
 */
export function bucketsOf(sigma: number, q: number, interval: number): Buckets {
  const [lowest, highest] = lossRange(sigma, q);
  const low = Math.floor(lowest / interval);
  const count = Math.ceil(highest / interval) - low;
  const buckets = { interval, low, up: new Float64Array(count), down: new Float64Array(count) };
  let from = edge(low * interval, sigma, q);
  for (let k = 0; k < count; k++) {
    const to = edge((low + k + 1) * interval, sigma, q);
    splitBucket(buckets, k, from, to, sigma, q);
    from = to;
  }
  return buckets;
}

/** Connect-the-dots: every bucket's mass at its ends. Swapping P and Q mirrors the grid, p_{−i} = p_i·e^{−ε_i}, exactly. */
export function pessimistic({ interval, low, up, down }: Buckets): DirectedLosses {
  const masses = new Float64Array(up.length + 1);
  masses.set(down);
  for (let k = 0; k < up.length; k++) masses[k + 1] = (masses[k + 1] as number) + (up[k] as number);
  return inBothDirections(interval, low, masses, 2 * upperTail(REACH));
}

export function inBothDirections(
  interval: number,
  low: number,
  masses: Float64Array,
  infinity: number,
): DirectedLosses {
  const adding = mirrored(masses, low, interval);
  return {
    removing: { interval, low, masses, infinity },
    adding: { interval, low: -(low + masses.length - 1), masses: adding, infinity },
  };
}

/** A grid point ε: where the loss takes that value, and ln of q·e^l = e^ε − 1 + q there (−∞ below ln(1 − q)). */
interface Edge {
  readonly x: number;
  readonly logGain: number;
  /** e^ε − 1 + q, which is negative below ln(1 − q); +∞ for huge ε, where only the logarithm is used. */
  readonly gain: number;
}

function edge(epsilon: number, sigma: number, q: number): Edge {
  const gain = Math.expm1(epsilon) + q;
  if (gain <= 0) return { x: Number.NEGATIVE_INFINITY, logGain: Number.NEGATIVE_INFINITY, gain };
  const l =
    epsilon > 30
      ? epsilon - Math.log(q) + Math.log1p((q - 1) * Math.exp(-epsilon))
      : Math.log1p(Math.expm1(epsilon) / q);
  return { x: sigma * sigma * l + 0.5, logGain: l + Math.log(q), gain };
}

function splitBucket(buckets: Buckets, k: number, from: Edge, to: Edge, sigma: number, q: number): void {
  const start = Math.max(from.x, -REACH * sigma);
  const end = Math.min(to.x, 1 + REACH * sigma);
  if (!(end > start)) return;
  const width = (end - start) / sigma;
  const rule = width < 5e-4 ? RULES.narrow : width < 0.05 ? RULES.middle : RULES.wide;
  const panels = Math.ceil(width / 0.5);
  const half = (end - start) / (2 * panels);
  let up = 0;
  let down = 0;
  for (let panel = 0; panel < panels; panel++) {
    const middle = start + (2 * panel + 1) * half;
    up += integrateUp(rule, middle, half, from, sigma, q);
    down += integrateDown(rule, middle, half, to, sigma);
  }
  const { interval } = buckets;
  const scale = half / (sigma * Math.sqrt(2 * Math.PI) * -Math.expm1(-interval));
  buckets.down[k] = down * scale * Math.exp(-interval);
  buckets.up[k] = up * scale;
}

/** ∫ φ(r − r_i) over one panel, up to the common factor; r − r_i = q·e^{l_i}·(e^{(x − x_i)/σ²} − 1). */
function integrateUp(rule: Rule, middle: number, half: number, from: Edge, sigma: number, q: number): number {
  const variance = sigma * sigma;
  let sum = 0;
  for (let n = 0; n < rule.nodes.length; n++) {
    const offset = half * (rule.nodes[n] as number);
    for (let side = -1; side <= 1; side += 2) {
      const x = middle + side * offset;
      const energy = (x * x) / (2 * variance);
      const rise =
        from.gain > 0
          ? Math.exp(from.logGain - energy) * Math.expm1((x - from.x) / variance)
          : q * Math.exp(-((x - 1) * (x - 1)) / (2 * variance)) - from.gain * Math.exp(-energy);
      sum += (rule.weights[n] as number) * rise;
    }
  }
  return sum;
}

/** ∫ φ(r_{i+1} − r) over one panel, up to the common factor. */
function integrateDown(rule: Rule, middle: number, half: number, to: Edge, sigma: number): number {
  const variance = sigma * sigma;
  let sum = 0;
  for (let n = 0; n < rule.nodes.length; n++) {
    const offset = half * (rule.nodes[n] as number);
    for (let side = -1; side <= 1; side += 2) {
      const x = middle + side * offset;
      const drop = -Math.exp(to.logGain - (x * x) / (2 * variance)) * Math.expm1((x - to.x) / variance);
      sum += (rule.weights[n] as number) * drop;
    }
  }
  return sum;
}

/** The distribution of the opposite direction: loss −ε_i with mass p_i·e^{−ε_i}. */
function mirrored(masses: Float64Array, low: number, interval: number): Float64Array {
  const out = new Float64Array(masses.length);
  const last = masses.length - 1;
  for (let k = 0; k <= last; k++) out[last - k] = (masses[k] as number) * Math.exp(-(low + k) * interval);
  return out;
}
