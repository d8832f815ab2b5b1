import type { Rng } from '../core/rng.ts';
import { findDuplicates } from './duplicates.ts';
import type { TextRecord } from './record.ts';
import { groupsOf, splitGroups } from './split.ts';

/** Jaccard similarity of five-word sequences from which a text repeats an earlier one, and from which both stay together. */
export const DROP_AT = 0.6;
export const GROUP_AT = 0.3;

export interface HeldOut {
  readonly train: readonly TextRecord[];
  readonly validation: readonly TextRecord[];
  readonly test: readonly TextRecord[];
  /** Texts left out because an earlier one says the same, or nearly. */
  readonly duplicates: number;
  /** Of those, how many had another label than the earlier one. */
  readonly conflicts: number;
}

/**
 * Records in three sets without duplicates, so that no similar texts and no person's records lie on two sides: what is held out
 * must not be known from training.
 * @param fraction - of the kept records, for validation and for test each; in (0, 0.5)
 */
export function holdOut(records: readonly TextRecord[], fraction: number, rng: Rng): HeldOut {
  const { repeats, similar } = findDuplicates(
    records.map((r) => r.text),
    { dropAt: DROP_AT, groupAt: GROUP_AT },
  );
  const keptAt = new Int32Array(records.length).fill(-1);
  const kept: TextRecord[] = [];
  let conflicts = 0;
  for (const [i, record] of records.entries()) {
    const earlier = repeats[i] as number;
    if (earlier === -1) keptAt[i] = kept.push(record) - 1;
    else if (records[earlier]?.label !== record.label) conflicts++;
  }
  const alike = similar.map(([a, b]): [number, number] => [keptAt[a] as number, keptAt[b] as number]);
  const split = splitGroups(groupsOf(kept.length, [...alike, ...samePerson(kept)]), fraction, rng);
  const pick = (indices: readonly number[]): TextRecord[] => indices.map((i) => kept[i] as TextRecord);
  return {
    train: pick(split.train),
    validation: pick(split.validation),
    test: pick(split.test),
    duplicates: records.length - kept.length,
    conflicts,
  };
}

function samePerson(records: readonly TextRecord[]): [number, number][] {
  const first = new Map<string, number>();
  return [...records.entries()].flatMap(([i, { person }]): [number, number][] => {
    if (person === undefined) return [];
    const earlier = first.get(person);
    if (earlier === undefined) first.set(person, i);
    return earlier === undefined ? [] : [[earlier, i]];
  });
}
