import { checked, privacyError } from '../errors.ts';

/** How many canaries an auditor guessed about, and how often it was right. */
export interface Guesses {
  /** Canaries that each entered by a fair coin of its own, ≥ 1. */
  readonly canaries: number;
  /** Guesses made; about the others the auditor kept silent. ≤ canaries */
  readonly guesses: number;
  /** Right guesses. ≤ guesses */
  readonly correct: number;
}

/** The bisection stops at this ε; nothing that an audit of a feasible size can show comes near. */
const MOST_EPSILON = 100;

/**
 * Bound on the chance that an (ε, δ)-differentially private mechanism (adding or removing one record) lets anyone guess
 * this well: with f(v) = P[Bin(r, e^ε/(1 + e^ε)) ≥ v] it is f(v) + 2mδ·max_{1≤i≤v} (f(v − i) − f(v))/i (Steinke, Nasr,
 * Jagielski, NeurIPS 2023, Theorem 5.2 and Appendix D). All canaries may be in one run, as adaptively guessed as one
 * likes; independent runs with a canary each are the special case of a product mechanism.
 * @throws PRIVACY_PARAMETER_INVALID
 */
export function guessingPValue(seen: Guesses, epsilon: number, delta: number): number {
  checkGuesses(seen);
  checked('epsilon', epsilon, { min: 0, max: 1e3 });
  checked('delta', delta, { min: 0, lessThan: 1 });
  const { canaries, guesses, correct } = seen;
  const mass = binomial(guesses, epsilon);
  let beta = 0;
  for (let k = guesses; k >= correct; k--) beta += mass(k);
  let below = 0;
  let steepest = 0;
  for (let i = 1; i <= correct; i++) {
    below += mass(correct - i);
    steepest = Math.max(steepest, below / i);
  }
  return Math.min(1, beta + 2 * canaries * delta * steepest);
}

/**
 * Largest ε that such guesses rule out: with probability `confidence` over the coins, the mechanism is not (ε, δ)-private
 * for any ε below it. 0 when they rule out nothing.
 * @param confidence - in (0, 1), e.g. 0.95
 * @throws PRIVACY_PARAMETER_INVALID
 */
export function epsilonLowerBound(seen: Guesses, delta: number, confidence: number): number {
  checked('confidence', confidence, { moreThan: 0, lessThan: 1 });
  const ruledOut = (epsilon: number): boolean => guessingPValue(seen, epsilon, delta) < 1 - confidence;
  if (!ruledOut(0)) return 0;
  let low = 0;
  let high = MOST_EPSILON;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (ruledOut(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** P[Bin(n, e^ε/(1 + e^ε)) = k], through logarithms so that nothing overflows. */
function binomial(n: number, epsilon: number): (k: number) => number {
  const logFactorial = new Float64Array(n + 1);
  for (let i = 2; i <= n; i++) logFactorial[i] = (logFactorial[i - 1] as number) + Math.log(i);
  const logRight = -Math.log1p(Math.exp(-epsilon));
  const logWrong = -epsilon + logRight;
  return (k) =>
    Math.exp(
      (logFactorial[n] as number) -
        (logFactorial[k] as number) -
        (logFactorial[n - k] as number) +
        k * logRight +
        (n - k) * logWrong,
    );
}

function checkGuesses({ canaries, guesses, correct }: Guesses): void {
  checked('canaries', canaries, { min: 1, max: 1e6, integer: true });
  checked('guesses', guesses, { min: 0, integer: true });
  checked('correct', correct, { min: 0, integer: true });
  if (correct <= guesses && guesses <= canaries) return;
  throw privacyError('PRIVACY_PARAMETER_INVALID', `${correct} of ${guesses} guesses about ${canaries} canaries`, {
    where: 'guesses',
  });
}
