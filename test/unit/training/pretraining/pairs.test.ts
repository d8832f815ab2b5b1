import { expect, test } from 'vitest';
import { seededRng } from '../../../../shared/core/rng.ts';
import { encodeCorpus } from '../../../../shared/training/pretraining/corpus.ts';
import { segmentPairs } from '../../../../shared/training/pretraining/pairs.ts';
import { licence, tokenizer } from './fixture.ts';

const corpus = encodeCorpus([licence], tokenizer);
const documentAt = (piece: number): number =>
  corpus.documents.findIndex((_, d) => piece < (corpus.sentences[corpus.documents[d + 1] as number] as number));

test('pairs fit, are never empty, and stay inside one document each', () => {
  for (const tokens of [8, 40, 128]) {
    const pairs = segmentPairs(corpus, { tokens }, seededRng(`pairs ${tokens}`));
    expect(pairs.length).toBeGreaterThan(10);
    for (const p of pairs) {
      expect(p.firstEnd - p.firstStart).toBeGreaterThan(0);
      expect(p.secondEnd - p.secondStart).toBeGreaterThan(0);
      expect(p.firstEnd - p.firstStart + p.secondEnd - p.secondStart + 3).toBeLessThanOrEqual(tokens);
      expect(documentAt(p.firstEnd - 1)).toBe(documentAt(p.firstStart));
      expect(documentAt(p.secondEnd - 1)).toBe(documentAt(p.secondStart));
    }
  }
});

test('a following segment is of the same document and later, a random one of another document', () => {
  const pairs = segmentPairs(corpus, { tokens: 128 }, seededRng('which'));
  for (const p of pairs) {
    expect(documentAt(p.secondStart) === documentAt(p.firstStart)).toBe(p.follows);
    if (p.follows) expect(p.secondStart).toBeGreaterThanOrEqual(p.firstEnd);
  }
});

test('about half of the pairs are random, by the share that was asked for', () => {
  const document = Array.from({ length: 200 }, (_, i) => `The work ${i}.`).join(' ');
  const short = encodeCorpus([`${document}\n\n${document}\n\n${document}`], tokenizer);
  const share = (randomShare: number): number => {
    const passes = Array.from({ length: 20 }, (_, i) =>
      segmentPairs(short, { tokens: 64, randomShare }, seededRng(`${i}`)),
    );
    return passes.flat().filter((p) => !p.follows).length / passes.flat().length;
  };
  expect(share(1)).toBe(1);
  // A chunk of one sentence, at a document's end or of a short pair, has no following half.
  expect(share(0)).toBeLessThan(0.12);
  expect(share(0.5)).toBeGreaterThan(0.45);
  expect(share(0.5)).toBeLessThan(0.62);
});

test('a single document makes only following pairs', () => {
  const alone = encodeCorpus(['One is here. Two is here. Three is here. Four is here.'], tokenizer);
  const pairs = segmentPairs(alone, { tokens: 64, shortShare: 0 }, seededRng('alone'));
  expect(pairs.map((p) => p.follows)).toEqual([true]);
  expect(pairs[0]).toMatchObject({ firstStart: 0, secondEnd: alone.pieces.length });
  expect(segmentPairs(encodeCorpus(['Only one.'], tokenizer), { tokens: 64 }, seededRng('one'))).toEqual([]);
});

test('every sentence is met in one pass', () => {
  const pairs = segmentPairs(corpus, { tokens: 1 << 16, shortShare: 0 }, seededRng('all'));
  const met = new Uint8Array(corpus.pieces.length);
  for (const p of pairs) {
    met.fill(1, p.firstStart, p.firstEnd);
    if (p.follows) met.fill(1, p.secondStart, p.secondEnd);
  }
  expect(met.every((m) => m === 1)).toBe(true);
});
