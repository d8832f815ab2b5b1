import { expect, test } from 'vitest';
import { encodeCorpus } from '../../../../shared/training/pretraining/corpus.ts';
import { splitDocuments } from '../../../../shared/training/pretraining/sentences.ts';
import { licence, tokenizer } from './fixture.ts';

test('holds every sentence of every document in order', () => {
  const corpus = encodeCorpus([licence, 'Another text. It ends'], tokenizer);
  const expected = [...splitDocuments(licence), ['Another text.', 'It ends']];
  const found = [...corpus.documents.slice(0, -1)].map((from, d) =>
    Array.from({ length: (corpus.documents[d + 1] as number) - from }, (_, s) => [
      ...corpus.pieces.subarray(corpus.sentences[from + s], corpus.sentences[from + s + 1]),
    ]),
  );
  expect(found).toEqual(expected.map((sentences) => sentences.map((s) => tokenizer.pieces(s))));
  expect(corpus.sentences.at(-1)).toBe(corpus.pieces.length);
});

test('knows which pieces continue a word', () => {
  const { continues } = encodeCorpus(['One.'], tokenizer);
  expect(continues.length).toBe(tokenizer.vocabularySize);
  for (let id = 0; id < continues.length; id++) expect(continues[id] === 1).toBe(tokenizer.token(id)?.startsWith('##'));
});

test('refuses a corpus without a sentence', () => {
  expect(() => encodeCorpus(['\n\n', ''], tokenizer)).toThrowError(expect.objectContaining({ code: 'CORPUS_EMPTY' }));
});
