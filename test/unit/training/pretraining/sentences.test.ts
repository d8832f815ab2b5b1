import { expect, test } from 'vitest';
import { splitDocuments, splitSentences } from '../../../../shared/training/pretraining/sentences.ts';

test('ends a sentence at a stop before a capital, a digit or an opening quote', () => {
  expect(splitSentences('It rained. "Really?" she asked! 3 days. (Yes.) Then sun')).toEqual([
    'It rained.',
    '"Really?" she asked!',
    '3 days.',
    '(Yes.)',
    'Then sun',
  ]);
});

test('does not end at abbreviations, initials, decimals or before lower case', () => {
  const whole =
    'Mr. Smith of the U.S. Navy met J. R. Jones, e.g. No. 5 on Jan. 3 at 9 a.m. Pacific for 2.5 hours etc. and left';
  expect(splitSentences(whole)).toEqual([whole]);
});

test('loses no text but the spaces between sentences', () => {
  const text = 'One. Two! Three? "Four." Five… six. Ünder. Éa.';
  expect(splitSentences(text).join(' ')).toBe(text);
});

test('documents are parted by empty lines, sentences never cross a line', () => {
  expect(splitDocuments('A one. A two.\nA three\n\n\n  \nB one.\r\n\r\nC.\n\n')).toEqual([
    ['A one.', 'A two.', 'A three'],
    ['B one.'],
    ['C.'],
  ]);
  expect(splitDocuments('\n\n  \n')).toEqual([]);
});
