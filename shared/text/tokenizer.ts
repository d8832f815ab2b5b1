import { TacitError } from '../core/errors.ts';
import { type NormaliserSettings, normalise, wordsOf } from './bert-words.ts';
import type { TextErrorCode } from './errors.ts';
import { readDescription, type TokenizerDescription } from './tokenizer-description.ts';
import { wordPieces } from './wordpiece.ts';

/** Token ids of one text or pair, special tokens included. */
export interface Encoding {
  readonly ids: Int32Array;
  /** 0 for the first text and its special tokens, 1 for the second. */
  readonly typeIds: Int32Array;
}

export type Truncation = 'longest_first' | 'only_first' | 'only_second';

export interface EncodeOptions {
  readonly pair?: string;
  /** Default `longest_first`. */
  readonly truncation?: Truncation;
}

/** A BERT WordPiece tokenizer, equal to Hugging Face's BertTokenizerFast. */
export interface Tokenizer {
  /** Highest id + 1. */
  readonly vocabularySize: number;
  readonly special: {
    readonly pad: number;
    readonly unknown: number;
    readonly cls: number;
    readonly sep: number;
    readonly mask: number;
  };
  /** Ids without special tokens. With `atMost`, the first so many; only as much of the text as needed is read. */
  pieces(text: string, atMost?: number): number[];
  /** `[CLS] text [SEP]` or `[CLS] text [SEP] pair [SEP]` in at most `maxTokens` ids. @throws TOKENIZER_INPUT */
  encode(text: string, maxTokens: number, options?: EncodeOptions): Encoding;
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean }): string;
  /** The piece of an id, `undefined` outside the vocabulary. */
  token(id: number): string | undefined;
}

/** Either the text of a `tokenizer.json`, or the text of a `vocab.txt` with what is done to a text before it is cut. */
export type TokenizerFiles =
  | { readonly tokenizerJson: string }
  | ({ readonly vocabulary: string } & NormaliserSettings);

/** @throws TOKENIZER_INVALID, TOKENIZER_UNSUPPORTED */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const description = readDescription(
    'tokenizerJson' in files ? parseJson(files.tokenizerJson) : describeVocabulary(files.vocabulary, files),
  );
  const { vocabulary } = description;
  const idOf = (token: string): number => {
    const id = vocabulary.get(token);
    if (id === undefined) throw new TacitError<TextErrorCode>('TOKENIZER_INVALID', `the vocabulary has no ${token}`);
    return id;
  };
  const special = {
    pad: idOf('[PAD]'),
    unknown: idOf('[UNK]'),
    cls: idOf('[CLS]'),
    sep: idOf('[SEP]'),
    mask: idOf('[MASK]'),
  };
  const tokens = tokensById(vocabulary);
  const pieces = cachedPieces(description);
  return {
    vocabularySize: tokens.length,
    special,
    pieces,
    encode: (text, maxTokens, options = {}) => encode(pieces, special, text, maxTokens, options),
    decode: (ids, { skipSpecialTokens = true } = {}) =>
      decode(tokens, skipSpecialTokens ? description.skipped : new Set(), ids),
    token: (id) => tokens[id],
  };
}

function tokensById(vocabulary: ReadonlyMap<string, number>): (string | undefined)[] {
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of vocabulary) tokens[id] = token;
  return tokens;
}

/** All ids of a text. Added tokens are cut out first, those marked `normalized` out of the normalised text. */
function allPieces({ normaliser, added, model }: TokenizerDescription): (text: string) => number[] {
  const piecesOf = wordPieces(model);
  const inNormalised = (text: string): number[] =>
    splitAround(added.afterNormalising, text, (part) => wordsOf(part).flatMap(piecesOf));
  return (text) => splitAround(added.asWritten, text, (part) => inNormalised(normalise(part, normaliser)));
}

/** Ids of the tokens that the pattern finds, and of what stands between them. */
function splitAround(
  found: { readonly pattern: RegExp; readonly ids: ReadonlyMap<string, number> } | undefined,
  text: string,
  between: (part: string) => number[],
): number[] {
  if (found === undefined) return between(text);
  const out: number[] = [];
  let at = 0;
  for (const { 0: token, index } of text.matchAll(found.pattern)) {
    if (index > at) out.push(...between(text.slice(at, index)));
    out.push(found.ids.get(token) as number);
    at = index + token.length;
  }
  if (at < text.length) out.push(...between(text.slice(at)));
  return out;
}

/** Longest text between two spaces that is remembered, and how many are. */
const CACHED_CHARS = 64;
const CACHED_WORDS = 100_000;

/**
 * Tokenises from space to space and remembers words: most words of a corpus are repeats. Exact, because BERT's
 * normaliser and pre-tokenizer never carry anything across a space (control characters are removed before, but never
 * a space); where an added token has a space in it, texts are read whole.
 */
function cachedPieces(description: TokenizerDescription): (text: string, atMost?: number) => number[] {
  const read = allPieces(description);
  const cache = new Map<string, readonly number[]>();
  const remember = (word: string): readonly number[] => {
    const ids = read(word);
    if (word.length > CACHED_CHARS) return ids;
    if (cache.size >= CACHED_WORDS) cache.clear();
    cache.set(word, ids);
    return ids;
  };
  return (text, atMost = Number.POSITIVE_INFINITY) => {
    const out: number[] = [];
    for (const word of description.added.spaced ? [text] : words(text)) {
      for (const id of cache.get(word) ?? remember(word)) out.push(id);
      if (out.length >= atMost) return out.slice(0, atMost);
    }
    return out;
  };
}

function* words(text: string): Generator<string> {
  const separator = /[ \t\n\r]+/g;
  let start = 0;
  for (let found = separator.exec(text); found !== null; found = separator.exec(text)) {
    if (found.index > start) yield text.slice(start, found.index);
    start = separator.lastIndex;
  }
  if (start < text.length) yield text.slice(start);
}

function encode(
  pieces: (text: string, atMost?: number) => number[],
  special: Tokenizer['special'],
  text: string,
  maxTokens: number,
  { pair, truncation = 'longest_first' }: EncodeOptions,
): Encoding {
  const specials = pair === undefined ? 2 : 3;
  if (!(maxTokens >= specials)) {
    throw new TacitError<TextErrorCode>(
      'TOKENIZER_INPUT',
      `${maxTokens} tokens cannot hold the ${specials} special tokens`,
    );
  }
  const room = maxTokens - specials;
  let first = pieces(text, pair === undefined ? room : undefined);
  let second = pair === undefined ? [] : pieces(pair);
  const excess = first.length + second.length - room;
  if (excess > 0) [first, second] = truncate(first, second, excess, truncation);
  const ids = [special.cls, ...first, special.sep, ...(pair === undefined ? [] : [...second, special.sep])];
  const typeIds = new Int32Array(ids.length).fill(1, first.length + 2);
  return { ids: Int32Array.from(ids), typeIds };
}

/**
 * As tokenizers' `truncate_encodings`: `longest_first` levels both texts, then shares the room; `only_first` and
 * `only_second` must leave something of theirs, except that without any room both go, whatever was asked.
 */
function truncate(first: number[], second: number[], excess: number, truncation: Truncation): [number[], number[]] {
  const room = first.length + second.length - excess;
  if (room === 0) return [[], []];
  const refuse = (which: string): never => {
    throw new TacitError<TextErrorCode>(
      'TOKENIZER_INPUT',
      `the ${which} text is too short to be shortened by ${excess} tokens`,
    );
  };
  if (truncation === 'only_first')
    return first.length <= excess ? refuse('first') : [first.slice(0, first.length - excess), second];
  if (truncation === 'only_second')
    return second.length <= excess ? refuse('second') : [first, second.slice(0, second.length - excess)];
  const short = Math.min(first.length, second.length);
  const shortKept = Math.min(short, Math.floor(room / 2));
  const longKept = room - shortKept;
  return first.length <= second.length
    ? [first.slice(0, shortKept), second.slice(0, longKept)]
    : [first.slice(0, longKept), second.slice(0, shortKept)];
}

/** English contractions and punctuation that a piece with its leading space may be; tokenizers' `cleanup`. */
const CLEANUP: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** As tokenizers' WordPiece decoder, which cleans each piece by itself. */
function decode(tokens: readonly (string | undefined)[], skipped: ReadonlySet<number>, ids: readonly number[]): string {
  return ids
    .filter((id) => !skipped.has(id))
    .map((id) => tokens[id] ?? '[UNK]')
    .map((token, i) => (i === 0 ? token : token.startsWith('##') ? token.slice(2) : ` ${token}`))
    .map((piece) => CLEANUP.reduce((text, [from, to]) => text.replaceAll(from, to), piece))
    .join('');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TacitError<TextErrorCode>('TOKENIZER_INVALID', 'tokenizer.json is not JSON', {
      where: 'tokenizer.json',
      cause,
    });
  }
}

const SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];

/** The `tokenizer.json` of a vocabulary: what `BertTokenizerFast` makes of a `vocab.txt`. */
export function describeVocabulary(
  vocabulary: string,
  { lowercase = true, stripAccents, splitChinese = true }: NormaliserSettings = {},
): object {
  const tokens = vocabulary.replace(/\r?\n$/, '').split(/\r?\n/);
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const special = SPECIAL_TOKENS.filter((t) => Object.hasOwn(vocab, t));
  if (special.length < SPECIAL_TOKENS.length) {
    const missing = SPECIAL_TOKENS.filter((t) => !special.includes(t));
    throw new TacitError<TextErrorCode>('TOKENIZER_INVALID', `the vocabulary has no ${missing.join(', ')}`, {
      where: 'vocab.txt',
    });
  }
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const template = (id: 'A' | 'B', type: number): object => ({ Sequence: { id, type_id: type } });
  const marker = (id: string, type: number): object => ({ SpecialToken: { id, type_id: type } });
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special
      .map((content) => ({ id: vocab[content], content, ...flags }))
      .sort((a, b) => (a.id ?? 0) - (b.id ?? 0)),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: splitChinese,
      strip_accents: stripAccents ?? null,
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [marker('[CLS]', 0), template('A', 0), marker('[SEP]', 0)],
      pair: [marker('[CLS]', 0), template('A', 0), marker('[SEP]', 0), template('B', 1), marker('[SEP]', 1)],
      special_tokens: Object.fromEntries(['[CLS]', '[SEP]'].map((t) => [t, { id: t, ids: [vocab[t]], tokens: [t] }])),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}
