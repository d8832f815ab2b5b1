import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { seededRng, shuffle, uniformInt } from '../../../shared/core/rng.ts';
import { createTokenizer } from '../../../shared/text/tokenizer.ts';
import { countWords, SPECIAL_TOKENS, trainVocabulary } from '../../../shared/text/vocabulary-trainer.ts';

const readme = readFileSync(new URL('../../../LICENSE', import.meta.url), 'utf8');

test('words are what BERT makes of a text: lower case, no accents, punctuation and ideographs apart', () => {
  const words = countWords(['Éclair, éclair\tECLAIR!', '東京 it’s', `${'x'.repeat(101)} ok`]);
  expect(words).toEqual(
    new Map([
      ['eclair', 3],
      [',', 1],
      ['!', 1],
      ['東', 1],
      ['京', 1],
      ['it', 1],
      ['’', 1],
      ['s', 1],
      ['ok', 1],
    ]),
  );
});

test('joins the most frequent pair first, the older one of equals', () => {
  // By hand: n ##e 11 (older than ##e ##w 11), ne ##w 11, ##e ##r 9, new ##er 6, then of those with 3 the oldest first.
  const words = new Map([
    ['new', 5],
    ['newer', 6],
    ['wider', 3],
  ]);
  const letters = ['n', 'w', '##d', '##e', '##i', '##r', '##w'];
  const joined = ['ne', 'new', '##er', 'newer', 'wi', '##der'];
  expect(trainVocabulary(words, { size: 18 })).toEqual([...SPECIAL_TOKENS, ...letters, ...joined]);
});

/** The plain algorithm: count everything again after each join. */
function reference(words: ReadonlyMap<string, number>, size: number): string[] {
  const spelled = [...words].map(([word, count]) => ({ parts: [...word].map((c, i) => (i ? `##${c}` : c)), count }));
  const letters = [...new Set(spelled.flatMap((w) => w.parts))].sort(
    (a, b) => Number(a.startsWith('##')) - Number(b.startsWith('##')) || (a < b ? -1 : 1),
  );
  const pieces: string[] = [...SPECIAL_TOKENS, ...letters];
  while (pieces.length < size) {
    const counts = new Map<string, number>();
    for (const { parts, count } of spelled) {
      for (let i = 1; i < parts.length; i++) {
        const key = `${pieces.indexOf(parts[i - 1] as string)} ${pieces.indexOf(parts[i] as string)}`;
        counts.set(key, (counts.get(key) ?? 0) + count);
      }
    }
    const order = (key: string): number[] => key.split(' ').map(Number);
    const best = [...counts].sort(([a, n], [b, m]) => {
      const [[a1 = 0, a2 = 0], [b1 = 0, b2 = 0]] = [order(a), order(b)];
      return m - n || a1 - b1 || a2 - b2;
    })[0];
    if (best === undefined || best[1] < 2) break;
    const [left, right] = order(best[0]).map((id) => pieces[id] as string) as [string, string];
    const joined = left + right.slice(2);
    if (!pieces.includes(joined)) pieces.push(joined);
    for (const word of spelled) {
      const out: string[] = [];
      for (const part of word.parts) {
        if (out.at(-1) === left && part === right) out[out.length - 1] = joined;
        else out.push(part);
      }
      word.parts = out;
    }
  }
  return pieces;
}

test('equals the plain algorithm on random words, whatever their order', () => {
  const rng = seededRng('vocabulary');
  for (let round = 0; round < 20; round++) {
    const words = new Map<string, number>();
    for (let i = 0; i < 60; i++) {
      const word = Array.from({ length: 1 + uniformInt(rng, 7) }, () => 'abcd'[uniformInt(rng, 4)]).join('');
      words.set(word, 1 + uniformInt(rng, 20));
    }
    const expected = reference(words, 50);
    expect(trainVocabulary(words, { size: 50 })).toEqual(expected);
    expect(trainVocabulary(new Map(shuffle(rng, [...words])), { size: 50 })).toEqual(expected);
  }
});

test('the vocabulary tokenises its own text without an unknown piece and mostly into whole words', () => {
  const vocabulary = trainVocabulary(countWords([readme]), { size: 900 });
  const tokenizer = createTokenizer({ vocabulary: vocabulary.join('\n') });
  const pieces = tokenizer.pieces(readme);
  expect(new Set(vocabulary).size).toBe(vocabulary.length);
  expect(pieces).not.toContain(tokenizer.special.unknown);
  const words = [...countWords([readme]).values()].reduce((a, b) => a + b, 0);
  expect(pieces.length / words).toBeLessThan(1.3);
});

test('words with a character outside the alphabet teach nothing', () => {
  const words = new Map([
    ['ab', 9],
    ['ab€', 1],
  ]);
  expect(trainVocabulary(words, { size: 20, alphabetLimit: 2 })).toEqual([...SPECIAL_TOKENS, 'a', '##b', 'ab']);
});

test('refuses a size that holds only the alphabet, and no words', () => {
  expect(() => trainVocabulary(new Map([['abc', 2]]), { size: 8 })).toThrowError(
    expect.objectContaining({ code: 'VOCABULARY_SIZE' }),
  );
  expect(() => trainVocabulary(new Map(), { size: 100 })).toThrowError(
    expect.objectContaining({ code: 'VOCABULARY_EMPTY' }),
  );
});
