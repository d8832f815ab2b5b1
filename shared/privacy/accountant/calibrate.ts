import { checked, privacyError } from '../errors.ts';
import { EVENT_LIMITS, type PrivacyEvent } from '../events.ts';
import { DEFAULT_INTERVAL, epsilonFrom } from './pld.ts';
import { affordable, roughInterval } from './rounds.ts';

/** One stage of a plan whose noise is to be found. */
export interface StageDemand {
  /** In (0, 1]; 1 means every unit is in every round. */
  readonly samplingProbability: number;
  readonly rounds: number;
  /** This stage's part of the squared signal-to-noise, relative to the others. */
  readonly share: number;
}

export interface CalibrationDemand {
  readonly epsilon: number;
  readonly delta: number;
  readonly stages: readonly StageDemand[];
}

/** How near below the asked ε a calibration comes, relative. */
const PRECISION = 5e-7;

/**
 * Least noise multipliers for which the stages together are (ε, δ)-DP by {@link epsilonOf}: σ_i = κ·q_i·√(T_i/share_i),
 * with one common κ. The ε of the answer is at most the one asked for, and within 1e-6 of it, relative.
 * @throws PRIVACY_PARAMETER_INVALID, PRIVACY_CALIBRATION_IMPOSSIBLE
 */
export function calibrateNoise(demand: CalibrationDemand): number[] {
  checked('epsilon', demand.epsilon, { min: 1e-6, max: 1e4 });
  checked('delta', demand.delta, { moreThan: 0, lessThan: 1 });
  checked('number of stages', demand.stages.length, { min: 1, max: EVENT_LIMITS.events, integer: true });
  const shapes = demand.stages.map(shapeOf);
  const eventsAt = (kappa: number): PrivacyEvent[] =>
    demand.stages.map((stage, i) => stageEvent(stage, kappa * (shapes[i] as number)));
  // f(ln κ) on a grid: where it is 0, ε is PRECISION below the one asked for.
  const on =
    (interval: number): Curve =>
    (x) =>
      Math.log(Math.max(epsilonFrom(eventsAt(Math.exp(x)), demand.delta, interval), 1e-12) / demand.epsilon) +
      PRECISION;
  const start = startFor(demand, shapes);
  const range = rangeFor(shapes);
  const fine = on(DEFAULT_INTERVAL);
  const rough = solveNoise(on(roughInterval(eventsAt(start))), start, range, ROUGH);
  const near = typeof rough === 'object' ? refined(fine, rough) : undefined;
  const found = near === undefined ? solveNoise(fine, start, range, PRECISION) : { x: near };
  if (found === 'more' || found === 'less') throw impossible(found);
  const kappa = Math.exp(found.x);
  return shapes.map((shape) => kappa * shape);
}

/** The event that a stage with this noise multiplier is. */
export function stageEvent(
  stage: { readonly samplingProbability: number; readonly rounds: number },
  noiseMultiplier: number,
): PrivacyEvent {
  const { samplingProbability, rounds } = stage;
  return samplingProbability === 1
    ? { kind: 'gaussian', noiseMultiplier, count: rounds }
    : { kind: 'poisson-gaussian', noiseMultiplier, samplingProbability, count: rounds };
}

/** Most rounds that stay within (ε, δ); 0 when not even one does. */
export function affordableRounds(demand: {
  readonly epsilon: number;
  readonly delta: number;
  readonly noiseMultiplier: number;
  readonly samplingProbability: number;
}): number {
  checked('epsilon', demand.epsilon, { moreThan: 0, max: 1e4 });
  checked('delta', demand.delta, { moreThan: 0, lessThan: 1 });
  const eventOf = (rounds: number): PrivacyEvent => stageEvent({ ...demand, rounds }, demand.noiseMultiplier);
  return affordable(eventOf, demand.epsilon, demand.delta);
}

function shapeOf(stage: StageDemand, i: number): number {
  const q = checked(`stages[${i}].samplingProbability`, stage.samplingProbability, {
    min: EVENT_LIMITS.samplingProbability,
    max: 1,
  });
  const rounds = checked(`stages[${i}].rounds`, stage.rounds, { min: 1, max: EVENT_LIMITS.count, integer: true });
  const share = checked(`stages[${i}].share`, stage.share, { moreThan: 0, max: 1e9 });
  return q * Math.sqrt(rounds / share);
}

/** κ of the central limit: Σ q²T/σ² = Σshare/κ² = μ², with ε ≈ μ√(2 ln(1/δ)) + μ²/2. */
function startFor(demand: CalibrationDemand, shapes: readonly number[]): number {
  const shares = demand.stages.reduce((sum, stage) => sum + stage.share, 0);
  const spread = Math.sqrt(-2 * Math.log(demand.delta));
  const mu = Math.sqrt(spread * spread + 2 * demand.epsilon) - spread;
  const kappa = Math.sqrt(shares) / mu;
  // Below σ ≈ 0.5 the limit is far too hopeful for a sampled release; the search starts from a sane σ.
  return Math.max(kappa, 0.5 / Math.max(...shapes));
}

function rangeFor(shapes: readonly number[]): [number, number] {
  const [least, most] = EVENT_LIMITS.noiseMultiplier;
  return [least / Math.min(...shapes), most / Math.max(...shapes)];
}

type Curve = (logKappa: number) => number;

/** How near the root on the rough grid is sought. */
const ROUGH = 1e-4;

/** A root of a falling curve, and the slope there. */
interface Root {
  readonly x: number;
  readonly slope: number;
}

/** x with |f(x)| ≤ `precision`, by regula falsi (Illinois); else which way the range would have to reach further. */
function solveNoise(f: Curve, start: number, range: [number, number], precision: number): Root | 'more' | 'less' {
  const bracket = bracketNoise(f, Math.log(start), range);
  if (typeof bracket === 'string') return bracket;
  let [low, high, fLow, fHigh] = bracket;
  let before = { x: low, y: fLow };
  let slope = (fHigh - fLow) / (high - low);
  let kept = 0;
  for (let i = 0; i < 100; i++) {
    const x = i % 8 === 7 ? (low + high) / 2 : (low * fHigh - high * fLow) / (fHigh - fLow);
    const y = f(x);
    if (x !== before.x && (y - before.y) / (x - before.x) < 0) slope = (y - before.y) / (x - before.x);
    before = { x, y };
    if (Math.abs(y) <= precision || high - low < 1e-13 * Math.abs(high)) return { x: y <= precision ? x : high, slope };
    // An end that stays a second time counts half (Illinois).
    if (y > 0) {
      [low, fLow] = [x, y];
      if (kept > 0) fHigh /= 2;
      kept = 1;
    } else {
      [high, fHigh] = [x, y];
      if (kept < 0) fLow /= 2;
      kept = -1;
    }
  }
  return { x: high, slope };
}

/** The root of the fine curve from that of the rough one, by secants; undefined when six are not enough. */
function refined(fine: Curve, { x: from, slope: first }: Root): number | undefined {
  let x = from;
  let slope = first;
  let y = fine(x);
  for (let i = 0; i < 6; i++) {
    if (Math.abs(y) <= PRECISION) return x;
    const next = x - y / slope;
    const value = fine(next);
    if (next !== x && (value - y) / (next - x) < 0) slope = (value - y) / (next - x);
    x = next;
    y = value;
  }
  return undefined;
}

/** Logarithms of a κ with too little noise and one with enough, and f there. */
function bracketNoise(
  f: Curve,
  start: number,
  range: [number, number],
): [number, number, number, number] | 'more' | 'less' {
  const [least, most] = [Math.log(range[0]), Math.log(range[1])];
  let x = Math.min(Math.max(start, least), most);
  let y = f(x);
  const direction = y > 0 ? 1 : -1;
  for (let step = 0.1; ; step *= 2) {
    const next = Math.min(Math.max(x + direction * step, least), most);
    const value = f(next);
    if (value > 0 !== y > 0) return direction > 0 ? [x, next, y, value] : [next, x, value, y];
    if (next === least || next === most) return direction > 0 ? 'more' : 'less';
    x = next;
    y = value;
  }
}

function impossible(wanted: 'more' | 'less') {
  return privacyError('PRIVACY_CALIBRATION_IMPOSSIBLE', 'no noise multiplier in the supported range reaches this ε', {
    fix:
      wanted === 'more'
        ? 'Give a larger ε or fewer rounds.'
        : 'Give a smaller ε: hardly any noise is needed for this one.',
  });
}
