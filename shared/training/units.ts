import type { Rng } from '../core/rng.ts';
import { poissonSample } from './sampling.ts';

/** Which privacy unit (a person) each of a client's examples belongs to. */
export interface Units {
  /** By example: its unit, 0 … count − 1. */
  readonly of: Int32Array;
  readonly count: number;
}

/** Units by the records' persons, numbered as they first occur; a record without a person is a unit of its own. */
export function unitsOf(records: readonly { readonly person?: string }[]): Units {
  const known = new Map<string, number>();
  let count = 0;
  const of = Int32Array.from(records, ({ person }) => {
    const unit = person === undefined ? undefined : known.get(person);
    if (unit !== undefined) return unit;
    if (person !== undefined) known.set(person, count);
    return count++;
  });
  return { of, count };
}

/**
 * Poisson sample of units: each enters independently with `probability`, and then with all of its examples.
 * @returns the examples' indices in ascending order; may be empty. @throws TRAINING_OPTION
 */
export function poissonSampleUnits(units: Units, probability: number, rng: Rng): number[] {
  const chosen = new Set(poissonSample(units.count, probability, rng));
  return [...units.of.keys()].filter((example) => chosen.has(units.of[example] as number));
}

/** The given examples, unit by unit, in the order in which the units occur. */
export function membersByUnit(indices: readonly number[], units: Units): number[][] {
  const members = new Map<number, number[]>();
  for (const index of indices) {
    const unit = units.of[index] as number;
    const known = members.get(unit);
    if (known === undefined) members.set(unit, [index]);
    else known.push(index);
  }
  return [...members.values()];
}
