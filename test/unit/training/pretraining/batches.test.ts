import { expect, test } from 'vitest';
import { NOT_PREDICTED } from '../../../../shared/bert/pretraining-slots.ts';
import { seededRng } from '../../../../shared/core/rng.ts';
import { type BatchOptions, pretrainingBatches } from '../../../../shared/training/pretraining/batches.ts';
import { encodeCorpus } from '../../../../shared/training/pretraining/corpus.ts';
import { licence, tokenizer } from './fixture.ts';

const corpus = encodeCorpus([licence], tokenizer);
const options: BatchOptions = { batch: 6, tokens: 48, share: 0.15, most: 8, wholeWords: false };
const { cls, sep, pad } = tokenizer.special;

test('every row is [CLS] first [SEP] second [SEP] padding, with types and mask', () => {
  const batches = pretrainingBatches(corpus, options, seededRng('rows'));
  for (let n = 0; n < 40; n++) {
    const batch = batches.next().value;
    if (batch === undefined) throw new Error('the batches ended');
    for (let row = 0; row < 6; row++) {
      const cut = <A extends Int32Array>(a: A): number[] => [...a.subarray(row * 48, row * 48 + 48)];
      const [ids, mask, types, labels] = [batch.inputIds, batch.attentionMask, batch.tokenTypeIds, batch.labels].map(
        cut,
      ) as [number[], number[], number[], number[]];
      const end = mask.lastIndexOf(1);
      const split = types.indexOf(1);
      expect(mask).toEqual(mask.map((_, i) => (i <= end ? 1 : 0)));
      expect(types).toEqual(types.map((_, i) => (i >= split && i <= end ? 1 : 0)));
      expect([ids[0], ids[split - 1], ids[end]]).toEqual([cls, sep, sep]);
      expect(ids.slice(end + 1).every((id) => id === pad)).toBe(true);
      const predicted = labels.filter((l) => l !== NOT_PREDICTED).length;
      expect(predicted).toBeGreaterThan(0);
      expect(predicted).toBeLessThanOrEqual(8);
    }
  }
});

test('goes on over the corpus with new masks, and a seed repeats it', () => {
  const take = (seed: string, n: number): string[] => {
    const batches = pretrainingBatches(corpus, options, seededRng(seed));
    return Array.from({ length: n }, () => JSON.stringify(batches.next().value));
  };
  const a = take('seed', 60);
  expect(take('seed', 60)).toEqual(a);
  expect(take('other', 1)).not.toEqual(a.slice(0, 1));
  expect(new Set(a).size).toBe(60);
});

test('ends at once where the corpus makes no pair', () => {
  const alone = encodeCorpus(['Only one sentence.'], tokenizer);
  expect(pretrainingBatches(alone, options, seededRng('x')).next().done).toBe(true);
});
