import { checked, privacyError } from '../errors.ts';
import { EVENT_LIMITS, type PrivacyEvent } from '../events.ts';
import { epsilonOf } from './pld.ts';

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
  const epsilonAt = (kappa: number): number => {
    const events = demand.stages.map((stage, i) => stageEvent(stage, kappa * (shapes[i] as number)));
    return epsilonOf(events, demand.delta);
  };
  const kappa = solveNoise(epsilonAt, demand.epsilon, startFor(demand, shapes), rangeFor(shapes));
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
  const fits = (rounds: number): boolean =>
    epsilonOf([stageEvent({ ...demand, rounds }, demand.noiseMultiplier)], demand.delta) <= demand.epsilon;
  if (!fits(1)) return 0;
  let enough = 1;
  let tooMany = 2;
  while (fits(tooMany)) {
    enough = tooMany;
    tooMany *= 2;
    if (tooMany > EVENT_LIMITS.count) return EVENT_LIMITS.count;
  }
  while (tooMany - enough > 1) {
    const middle = Math.floor((enough + tooMany) / 2);
    if (fits(middle)) enough = middle;
    else tooMany = middle;
  }
  return enough;
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

/** κ with ε(κ) in [(1 − 2·PRECISION)·target, target]; ε falls with κ, so regula falsi (Illinois) on logarithms. */
function solveNoise(epsilonAt: (k: number) => number, target: number, start: number, range: [number, number]): number {
  const f = (x: number): number => Math.log(Math.max(epsilonAt(Math.exp(x)), 1e-12) / target) + PRECISION;
  let [low, high, fLow, fHigh] = bracketNoise(f, Math.log(start), range);
  for (let i = 0; i < 100; i++) {
    const x = i % 8 === 7 ? (low + high) / 2 : (low * fHigh - high * fLow) / (fHigh - fLow);
    const y = f(x);
    if (Math.abs(y) <= PRECISION || high - low < 1e-13 * Math.abs(high)) return Math.exp(y <= PRECISION ? x : high);
    if (y > 0) {
      low = x;
      fLow = y;
      fHigh /= 2;
    } else {
      high = x;
      fHigh = y;
      fLow /= 2;
    }
  }
  return Math.exp(high);
}

/** Logarithms of a κ with too little noise and one with enough, and f there. */
function bracketNoise(
  f: (x: number) => number,
  start: number,
  range: [number, number],
): [number, number, number, number] {
  const [least, most] = [Math.log(range[0]), Math.log(range[1])];
  let x = Math.min(Math.max(start, least), most);
  let y = f(x);
  const direction = y > 0 ? 1 : -1;
  for (let step = 0.1; ; step *= 2) {
    const next = Math.min(Math.max(x + direction * step, least), most);
    const value = f(next);
    if (value > 0 !== y > 0) return direction > 0 ? [x, next, y, value] : [next, x, value, y];
    if (next === least || next === most) {
      throw privacyError(
        'PRIVACY_CALIBRATION_IMPOSSIBLE',
        'no noise multiplier in the supported range reaches this ε',
        {
          fix:
            direction > 0
              ? 'Give a larger ε or fewer rounds.'
              : 'Give a smaller ε: hardly any noise is needed for this one.',
        },
      );
    }
    x = next;
    y = value;
  }
}
