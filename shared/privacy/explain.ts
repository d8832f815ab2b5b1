import { checked } from './errors.ts';

/**
 * Greatest chance of being right for someone who knows everything else and guesses, at even odds, whether one unit was
 * used: (e^ε + δ)/(1 + e^ε) (Kairouz, Oh, Viswanath 2015; total variation of an (ε, δ) pair). ½ is a coin flip.
 */
export function guessingChance(epsilon: number, delta: number): number {
  checked('epsilon', epsilon, { min: 0 });
  checked('delta', delta, { min: 0, max: 1 });
  return Math.min(1, (1 + delta * Math.exp(-epsilon)) / (1 + Math.exp(-epsilon)));
}

/** The guarantee in odds, for people: never typed, always computed. Rounded against the mechanism. */
export function oddsInWords(epsilon: number, delta: number, unit: string): string {
  const inHundred = guessingChance(epsilon, delta) * 100;
  const shown = inHundred > 99 ? Math.min(100, Math.ceil(inHundred * 1000) / 1000) : Math.ceil(inHundred * 10) / 10;
  return `someone who knows everything else about the data and guesses whether one ${unit} was used is right at most ${shown} times in 100; 50 is a coin flip`;
}
