import { TacitError } from '../../core/errors.ts';
import type { Tokenizer } from '../../text/tokenizer.ts';
import { splitDocuments } from './sentences.ts';

export type PretrainingErrorCode =
  /** No sentence in the corpus. */
  | 'CORPUS_EMPTY'
  /** A batch shape, share or rate that cannot be. */
  | 'PRETRAIN_INVALID';

export interface Vocabulary {
  /** By piece: 1 for what continues a word (`##…`). */
  readonly continues: Uint8Array;
  readonly special: Tokenizer['special'];
  readonly vocabularySize: number;
}

/** A corpus as one row of pieces, with where its sentences and documents end. */
export interface EncodedCorpus extends Vocabulary {
  readonly pieces: Int32Array;
  /** Sentence s is pieces[sentences[s] … sentences[s + 1]); one entry more than there are sentences. */
  readonly sentences: Int32Array;
  /** Document d is sentences documents[d] … documents[d + 1]; one entry more than there are documents. */
  readonly documents: Int32Array;
}

/**
 * Splits corpus texts (a paragraph a line, an empty line between documents) into sentences and encodes them.
 * @throws CORPUS_EMPTY
 */
export function encodeCorpus(texts: Iterable<string>, tokenizer: Tokenizer): EncodedCorpus {
  const pieces = new Int32List();
  const sentences = new Int32List();
  const documents = new Int32List();
  sentences.push(0);
  documents.push(0);
  for (const text of texts) {
    for (const document of splitDocuments(text)) {
      for (const sentence of document) {
        const ids = tokenizer.pieces(sentence);
        if (ids.length === 0) continue;
        for (const id of ids) pieces.push(id);
        sentences.push(pieces.length);
      }
      if (documents.last() < sentences.length - 1) documents.push(sentences.length - 1);
    }
  }
  if (pieces.length === 0) {
    throw new TacitError<PretrainingErrorCode>('CORPUS_EMPTY', 'the corpus has no sentence', {
      fix: 'Give text files with a paragraph a line and an empty line between documents.',
    });
  }
  return {
    pieces: pieces.taken(),
    sentences: sentences.taken(),
    documents: documents.taken(),
    ...vocabularyOf(tokenizer),
  };
}

/** What masking has to know of a vocabulary. */
export function vocabularyOf(tokenizer: Tokenizer): Vocabulary {
  const { special, vocabularySize } = tokenizer;
  const continues = Uint8Array.from({ length: vocabularySize }, (_, id) =>
    tokenizer.token(id)?.startsWith('##') === true ? 1 : 0,
  );
  return { continues, special, vocabularySize };
}

/** Grows like an array, holds like a typed one: a corpus has millions of pieces. */
class Int32List {
  #data = new Int32Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#data.length) {
      const grown = new Int32Array(2 * this.length);
      grown.set(this.#data);
      this.#data = grown;
    }
    this.#data[this.length++] = value;
  }

  last(): number {
    return this.#data[this.length - 1] as number;
  }

  taken(): Int32Array {
    return this.#data.slice(0, this.length);
  }
}
