import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { TacitError } from '../core/errors.ts';
import type { TextErrorCode } from './errors.ts';

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

/** Either the text of a `tokenizer.json`, or the text of a `vocab.txt` with its casing. */
export type TokenizerFiles =
  | { readonly tokenizerJson: string }
  | {
      readonly vocabulary: string;
      /** `do_lower_case` of tokenizer_config.json; default true. */
      readonly lowercase?: boolean;
    };

/** What is used of the library; its own types do not resolve under NodeNext. */
interface Library {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  id_to_token(id: number): string | undefined;
  get_vocab(): Map<string, number>;
}

/** @throws TOKENIZER_INVALID, TOKENIZER_UNSUPPORTED */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const description =
    'tokenizerJson' in files
      ? parseDescription(files.tokenizerJson)
      : describeVocabulary(files.vocabulary, files.lowercase ?? true);
  const library: Library = new HuggingFaceTokenizer(description, {});
  const vocabulary = library.get_vocab();
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
  const pieces = cachedPieces(library);
  return {
    vocabularySize: Math.max(...vocabulary.values()) + 1,
    special,
    pieces,
    encode: (text, maxTokens, options = {}) => encode(pieces, special, text, maxTokens, options),
    decode: (ids, { skipSpecialTokens = true } = {}) =>
      decode(library, skipSpecialTokens ? new Set(Object.values(special)) : new Set(), ids),
    token: (id) => library.id_to_token(id),
  };
}

/** Longest text between two spaces that is remembered, and how many are. */
const CACHED_CHARS = 64;
const CACHED_WORDS = 100_000;

/**
 * Tokenises from space to space and remembers words: most words of a corpus are repeats. Exact, because BERT's
 * normaliser and pre-tokenizer never carry anything across a space (control characters are removed before, but never
 * a space; lower-casing's final sigma looks no further than the word; no added token contains a space).
 */
function cachedPieces(library: Library): (text: string, atMost?: number) => number[] {
  const cache = new Map<string, readonly number[]>();
  const read = (word: string): readonly number[] => {
    const { ids } = library.encode(word, { add_special_tokens: false });
    if (word.length > CACHED_CHARS) return ids;
    if (cache.size >= CACHED_WORDS) cache.clear();
    cache.set(word, ids);
    return ids;
  };
  return (text, atMost = Number.POSITIVE_INFINITY) => {
    const out: number[] = [];
    for (const word of words(text)) {
      for (const id of cache.get(word) ?? read(word)) out.push(id);
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

/** As tokenizers' `truncate_encodings`: `longest_first` levels both texts, then shares the room. */
function truncate(first: number[], second: number[], excess: number, truncation: Truncation): [number[], number[]] {
  const refuse = (which: string): never => {
    throw new TacitError<TextErrorCode>(
      'TOKENIZER_INPUT',
      `the ${which} text is too short to be shortened by ${excess} tokens`,
    );
  };
  if (truncation === 'only_first')
    return first.length < excess ? refuse('first') : [first.slice(0, first.length - excess), second];
  if (truncation === 'only_second')
    return second.length < excess ? refuse('second') : [first, second.slice(0, second.length - excess)];
  const room = first.length + second.length - excess;
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

/** As tokenizers' WordPiece decoder, which cleans each piece by itself (the JavaScript library cleans the joined text and differs). */
function decode(library: Library, skipped: ReadonlySet<number>, ids: readonly number[]): string {
  const tokens = ids.filter((id) => !skipped.has(id)).map((id) => library.id_to_token(id) ?? '[UNK]');
  return tokens
    .map((token, i) => (i === 0 ? token : token.startsWith('##') ? token.slice(2) : ` ${token}`))
    .map((piece) => CLEANUP.reduce((text, [from, to]) => text.replaceAll(from, to), piece))
    .join('');
}

function parseDescription(text: string): object {
  let description: {
    model?: { type?: unknown; vocab?: unknown };
    normalizer?: { type?: unknown };
    pre_tokenizer?: { type?: unknown };
  };
  try {
    description = JSON.parse(text);
  } catch (cause) {
    throw new TacitError<TextErrorCode>('TOKENIZER_INVALID', 'tokenizer.json is not JSON', {
      where: 'tokenizer.json',
      cause,
    });
  }
  const parts = [description?.model?.type, description?.normalizer?.type, description?.pre_tokenizer?.type].join(' + ');
  if (parts !== 'WordPiece + BertNormalizer + BertPreTokenizer') {
    throw new TacitError<TextErrorCode>('TOKENIZER_UNSUPPORTED', `tokenizer.json describes ${parts}`, {
      where: 'tokenizer.json',
      fix: 'Use a BERT tokenizer: WordPiece + BertNormalizer + BertPreTokenizer.',
    });
  }
  if (typeof description.model?.vocab !== 'object' || description.model.vocab === null) {
    throw new TacitError<TextErrorCode>('TOKENIZER_INVALID', 'tokenizer.json has no vocabulary', {
      where: 'tokenizer.json',
    });
  }
  return description;
}

const SPECIAL_TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];

/** The `tokenizer.json` of a vocabulary: what `BertTokenizerFast` makes of a `vocab.txt`. */
export function describeVocabulary(vocabulary: string, lowercase: boolean): object {
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
      handle_chinese_chars: true,
      strip_accents: null,
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
