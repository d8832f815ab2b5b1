import { expect, test } from 'vitest';
import { seededRng, uniformInt } from '../../../../shared/core/rng.ts';
import { createTokenizer } from '../../../../shared/text/tokenizer.ts';
import { SPECIAL_TOKENS } from '../../../../shared/text/vocabulary-trainer.ts';
import { encodeCorpus } from '../../../../shared/training/pretraining/corpus.ts';
import { wordStart } from '../../../../shared/training/pretraining/word-start.ts';

// Two subjects whose words never meet, and a word that is never used.
const sea = ['ship', 'whale', 'wave', 'sail', 'deck', 'mast'];
const law = ['court', 'judge', 'crime', 'trial', 'jury', 'plea'];
const tokenizer = createTokenizer({ vocabulary: [...SPECIAL_TOKENS, '.', ...sea, ...law, 'unused'].join('\n') });
const rng = seededRng('subjects');
const sentence = (words: string[]): string =>
  `${Array.from({ length: 8 }, () => words[uniformInt(rng, 6)]).join(' ')} .`;
const documents = Array.from({ length: 80 }, (_, i) => sentence(i % 2 === 0 ? sea : law));
const corpus = encodeCorpus([documents.join('\n\n')], tokenizer);
const width = 4;
const id = (word: string): number => tokenizer.pieces(word)[0] as number;

function cosine(table: Float32Array, a: string, b: string): number {
  const [x, y] = [a, b].map((w) => table.subarray(id(w) * width, (id(w) + 1) * width)) as [Float32Array, Float32Array];
  return x.reduce((s, v, i) => s + v * (y[i] as number), 0) / (Math.hypot(...x) * Math.hypot(...y));
}

test('words of one subject lie together, of two subjects apart', () => {
  const table = wordStart(corpus, { width }, seededRng('start'));
  const mean = (xs: string[], ys: string[]): number => {
    const all = xs.flatMap((x) => ys.filter((y) => y !== x).map((y) => cosine(table, x, y)));
    return all.reduce((a, b) => a + b, 0) / all.length;
  };
  expect(mean(sea, sea)).toBeGreaterThan(mean(sea, law) + 0.5);
  expect(mean(law, law)).toBeGreaterThan(mean(sea, law) + 0.5);
});

test('every used piece has the asked length, unused and special ones are zero, and a seed repeats it', () => {
  const table = wordStart(corpus, { width, rms: 0.1 }, seededRng('start'));
  for (const word of [...sea, ...law]) {
    expect(Math.hypot(...table.subarray(id(word) * width, (id(word) + 1) * width))).toBeCloseTo(
      0.1 * Math.sqrt(width),
      6,
    );
  }
  for (const piece of [...Object.values(tokenizer.special), id('unused')]) {
    expect([...table.subarray(piece * width, (piece + 1) * width)]).toEqual([0, 0, 0, 0]);
  }
  expect(wordStart(corpus, { width, rms: 0.1 }, seededRng('start'))).toEqual(table);
});
