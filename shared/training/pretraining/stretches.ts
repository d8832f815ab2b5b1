import { type Rng, uniform, uniformInt } from '../../core/rng.ts';
import type { EncodedExample, Examples } from '../../text/encode.ts';
import type { TextRecord } from '../../text/record.ts';
import type { Tokenizer } from '../../text/tokenizer.ts';
import { type Vocabulary, vocabularyOf } from './corpus.ts';
import { type MaskingOptions, maskPieces } from './masking.ts';
import { splitSentences } from './sentences.ts';

/** A text to be read again and again, each time in another way. */
export interface EncodedText {
  /** Its pieces, without special ones. */
  readonly pieces: Int32Array;
  /** Where its sentences begin, ascending from 0. */
  readonly sentences: readonly number[];
}

export interface ReadingOptions {
  /** Longest reading, special pieces included. */
  readonly tokens: number;
  readonly masking: MaskingOptions;
  /** Readings of two parts, of which the second follows the first or, as often, the other way round. */
  readonly nextSentence: boolean;
}

export function encodeText({ text }: Pick<TextRecord, 'text'>, tokenizer: Tokenizer): EncodedText {
  const pieces: number[] = [];
  const sentences: number[] = [];
  for (const sentence of text.split('\n').flatMap((line) => splitSentences(line.trim()))) {
    const ids = tokenizer.pieces(sentence);
    if (ids.length > 0) sentences.push(pieces.length);
    for (const id of ids) pieces.push(id);
  }
  return { pieces: Int32Array.from(pieces), sentences };
}

/**
 * One reading of one text: a stretch of it that begins with a sentence, cut in two for next sentence, with pieces hidden.
 * Nothing of any other text is in it, so that clipping the reading's gradient bounds what the text adds, whatever is drawn
 * (docs/adr/0016-pretraining.md).
 */
export function readText(text: EncodedText, vocabulary: Vocabulary, options: ReadingOptions, rng: Rng): EncodedExample {
  const { cls, sep } = vocabulary.special;
  const stretch = stretchOf(text, options.tokens - (options.nextSentence ? 3 : 2), rng);
  if (!options.nextSentence) return hidden([cls, ...stretch.pieces, sep], undefined, 0, vocabulary, options, rng);
  const cut = cutOf(stretch, vocabulary, rng);
  const swapped = uniform(rng) < 0.5;
  const [first, second] = [stretch.pieces.subarray(0, cut), stretch.pieces.subarray(cut)];
  const [a, b] = swapped ? [second, first] : [first, second];
  return hidden([cls, ...a, sep, ...b, sep], a.length + 2, swapped ? 1 : 0, vocabulary, options, rng);
}

/** Readings of texts, drawn by `rng` whenever one is asked for. */
export function readings(
  records: readonly Pick<TextRecord, 'text'>[],
  tokenizer: Tokenizer,
  options: ReadingOptions,
  rng: Rng,
): Examples {
  const vocabulary = vocabularyOf(tokenizer);
  const texts = records.map((record) => encodeText(record, tokenizer));
  return {
    length: texts.length,
    at: (index) => {
      const text = texts.at(index);
      return text === undefined ? undefined : readText(text, vocabulary, options, rng);
    },
  };
}

function hidden(
  pieces: readonly number[],
  second: number | undefined,
  label: number,
  vocabulary: Vocabulary,
  { masking }: ReadingOptions,
  rng: Rng,
): EncodedExample {
  const ids = Int32Array.from(pieces);
  const labels = new Int32Array(ids.length);
  maskPieces(ids, labels, vocabulary, masking, rng);
  return { ids, label, masked: { labels, second: second ?? ids.length } };
}

/** The whole text where there is room; else from a random sentence on, or so much earlier that the room is filled. */
function stretchOf({ pieces, sentences }: EncodedText, room: number, rng: Rng): EncodedText {
  if (pieces.length <= room) return { pieces, sentences };
  const drawn = sentences[uniformInt(rng, sentences.length)] as number;
  const start = Math.min(drawn, pieces.length - room);
  const inside = sentences.filter((at) => at >= start && at < start + room).map((at) => at - start);
  return { pieces: pieces.subarray(start, start + room), sentences: inside };
}

/** Between two sentences; in a stretch of one, before a word; after the only word there is. */
function cutOf({ pieces, sentences }: EncodedText, { continues }: Vocabulary, rng: Rng): number {
  const between = sentences.filter((at) => at > 0);
  const words = [...pieces.keys()].filter((at) => at > 0 && continues[pieces[at] as number] !== 1);
  const places = between.length > 0 ? between : words;
  return places.length === 0 ? pieces.length : (places[uniformInt(rng, places.length)] as number);
}
