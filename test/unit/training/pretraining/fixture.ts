import { readFileSync } from 'node:fs';
import { createTokenizer } from '../../../../shared/text/tokenizer.ts';
import { countWords, trainVocabulary } from '../../../../shared/text/vocabulary-trainer.ts';

/** English at hand: this package's licence, its sections as documents. */
export const licence = readFileSync(new URL('../../../../LICENSE', import.meta.url), 'utf8')
  .split(/\n\s*\n(?= +\d+\.)/)
  .map((section) =>
    section
      .replace(/\n\s*\n/g, '\u0000')
      .replace(/\s+/g, ' ')
      .replaceAll('\u0000', '\n')
      .trim(),
  )
  .join('\n\n');

export const vocabulary = trainVocabulary(countWords([licence]), { size: 600 });
export const tokenizer = createTokenizer({ vocabulary: vocabulary.join('\n') });
