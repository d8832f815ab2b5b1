import { expect, test } from 'vitest';
import { NOT_PREDICTED } from '../../../../shared/bert/pretraining-slots.ts';
import { seededRng } from '../../../../shared/core/rng.ts';
import { encodeCorpus } from '../../../../shared/training/pretraining/corpus.ts';
import { maskPieces } from '../../../../shared/training/pretraining/masking.ts';
import { licence, tokenizer } from './fixture.ts';

const corpus = encodeCorpus([licence], tokenizer);
const { cls, sep, mask, pad } = tokenizer.special;
const example = Int32Array.from([
  cls,
  ...corpus.pieces.subarray(0, 60),
  sep,
  ...corpus.pieces.subarray(200, 250),
  sep,
  pad,
]);

function masked(options: { share: number; most: number; wholeWords: boolean }, seed: string) {
  const ids = example.slice();
  const labels = new Int32Array(ids.length);
  maskPieces(ids, labels, corpus, options, seededRng(seed));
  return { ids, labels, at: [...labels.keys()].filter((i) => labels[i] !== NOT_PREDICTED) };
}

test('predicts the share that was asked for, never a special token, and keeps the truth as label', () => {
  for (let seed = 0; seed < 50; seed++) {
    const { ids, labels, at } = masked({ share: 0.15, most: 100, wholeWords: false }, `${seed}`);
    expect(at.length).toBe(Math.round(110 * 0.15));
    for (const [i, id] of example.entries()) {
      if (labels[i] === NOT_PREDICTED) expect(ids[i]).toBe(id);
      else expect(labels[i]).toBe(id);
      if (id === cls || id === sep || id === pad) expect(labels[i]).toBe(NOT_PREDICTED);
    }
  }
});

test('at most `most`, at least one', () => {
  expect(masked({ share: 0.9, most: 7, wholeWords: false }, 'a').at.length).toBe(7);
  expect(masked({ share: 0.0001, most: 7, wholeWords: false }, 'a').at.length).toBe(1);
});

test('80 % hidden, 10 % random, 10 % as it was; every position equally likely', () => {
  let [hidden, same, all] = [0, 0, 0];
  const counts = new Float64Array(example.length);
  for (let seed = 0; seed < 600; seed++) {
    const { ids, at } = masked({ share: 0.15, most: 100, wholeWords: false }, `c${seed}`);
    for (const i of at) {
      all++;
      counts[i] = (counts[i] as number) + 1;
      if (ids[i] === mask) hidden++;
      else if (ids[i] === example[i]) same++;
    }
  }
  // Five standard deviations of a binomial.
  const near = (found: number, share: number): void =>
    expect(Math.abs(found - all * share)).toBeLessThan(5 * Math.sqrt(all * share * (1 - share)));
  near(hidden, 0.8);
  near(same, 0.1 + 0.1 / tokenizer.vocabularySize);
  const expected = all / 110;
  const places = [...counts.keys()].filter((i) => (counts[i] as number) > 0);
  expect(places.length).toBe(110);
  const chi = places.reduce((sum, i) => sum + ((counts[i] as number) - expected) ** 2 / expected, 0);
  expect(chi).toBeLessThan(109 + 5 * Math.sqrt(2 * 109));
});

test('whole words are predicted in full or not at all', () => {
  // A segment that was shortened at its front may begin inside a word.
  const starts = (i: number): boolean => corpus.continues[example[i] as number] === 0 || example[i - 1] === sep;
  let long = 0;
  for (let seed = 0; seed < 30; seed++) {
    const { at } = masked({ share: 0.15, most: 20, wholeWords: true }, `w${seed}`);
    const set = new Set(at);
    expect(at.length).toBeGreaterThan(0);
    expect(at.length).toBeLessThanOrEqual(Math.round(110 * 0.15));
    for (let i = 1; i < example.length; i++) {
      if (starts(i)) continue;
      expect(set.has(i)).toBe(set.has(i - 1));
      if (set.has(i)) long++;
    }
  }
  expect(long).toBeGreaterThan(0);
});
