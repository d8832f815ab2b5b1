import { TacitError } from '../core/errors.ts';
import { type NormaliserSettings, normalise } from './bert-words.ts';
import type { TextErrorCode } from './errors.ts';
import type { WordPieceModel } from './wordpiece.ts';

/** A `tokenizer.json` of a BERT, checked. */
export interface TokenizerDescription {
  readonly normaliser: NormaliserSettings;
  readonly model: WordPieceModel;
  /** The model's vocabulary and the added tokens. */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly added: AddedTokens;
  /** Ids that a decoded text leaves out: added tokens marked `special`. */
  readonly skipped: ReadonlySet<number>;
}

/** Tokens that are never cut, the longest of those that begin at one place first. */
interface AddedTokens {
  readonly asWritten: Found | undefined;
  readonly afterNormalising: Found | undefined;
  /** Whether one has white space inside. */
  readonly spaced: boolean;
}
interface Found {
  readonly pattern: RegExp;
  readonly ids: ReadonlyMap<string, number>;
}

type Raw = Readonly<Record<string, unknown>>;
const WHERE = 'tokenizer.json';
/** More pieces than any model has; an id is an index into a list. */
const HIGHEST_ID = 1 << 24;

/**
 * Checks a parsed `tokenizer.json`: WordPiece with BERT's normaliser and pre-tokenizer, which is what is computed here.
 * @throws TOKENIZER_INVALID, TOKENIZER_UNSUPPORTED
 */
export function readDescription(json: unknown): TokenizerDescription {
  const { model, normalizer, pre_tokenizer, added_tokens } = record(json) ?? {};
  const [wordPiece, bertNormaliser] = [record(model), record(normalizer)];
  // Old files do not say the model's type, and tokenizers reads them all the same. WordPiece's pieces alone continue with ##.
  const type = wordPiece?.['type'] ?? (wordPiece?.['continuing_subword_prefix'] === '##' ? 'WordPiece' : undefined);
  const parts = [type, bertNormaliser?.['type'], record(pre_tokenizer)?.['type']].join(' + ');
  if (
    wordPiece === undefined ||
    bertNormaliser === undefined ||
    parts !== 'WordPiece + BertNormalizer + BertPreTokenizer'
  )
    throw unsupported(`it describes ${parts}`, 'Use a BERT tokenizer: WordPiece + BertNormalizer + BertPreTokenizer.');
  const own = ids(record(wordPiece['vocab']));
  const tokens = (Array.isArray(added_tokens) ? added_tokens : []).map(addedToken);
  const vocabulary = new Map([...own, ...tokens.map(({ content, id }): [string, number] => [content, id])]);
  const normaliser = normaliserOf(bertNormaliser);
  const unknown = text(wordPiece['unk_token'], '[UNK]');
  const unknownId = vocabulary.get(unknown);
  if (unknownId === undefined) throw invalid(`the vocabulary has no ${unknown}`);
  return {
    normaliser,
    vocabulary,
    model: {
      vocabulary: own,
      unknown: unknownId,
      continuing: text(wordPiece['continuing_subword_prefix'], '##'),
      longestWord: Number(wordPiece['max_input_chars_per_word'] ?? 100),
    },
    added: {
      asWritten: finder(tokens.filter((t) => !t.normalized).map(({ content, id }) => [content, id])),
      afterNormalising: finder(
        tokens.filter((t) => t.normalized).map(({ content, id }) => [normalise(content, normaliser), id]),
      ),
      spaced: tokens.some(({ content }) => /\s/.test(content)),
    },
    skipped: new Set(tokens.filter(({ special }) => special).map(({ id }) => id)),
  };
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
}

/** White space beside a token is no piece, so `lstrip` and `rstrip` change nothing here. */
function addedToken(json: unknown): AddedToken {
  const { id, content, special, normalized, single_word } = record(json) ?? {};
  if (typeof content !== 'string' || content === '' || !isId(id)) throw invalid('added_tokens has no id or content');
  if (single_word === true)
    throw unsupported(`the added token ${content} is single_word`, 'Add it without single_word.');
  return { id, content, special: special === true, normalized: normalized === true };
}

function finder(tokens: readonly (readonly [string, number])[]): Found | undefined {
  const longestFirst = tokens.filter(([token]) => token !== '').sort(([a], [b]) => b.length - a.length);
  if (longestFirst.length === 0) return undefined;
  const literal = (token: string): string => token.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return {
    pattern: new RegExp(longestFirst.map(([token]) => literal(token)).join('|'), 'gu'),
    ids: new Map(longestFirst),
  };
}

function normaliserOf(raw: Raw): NormaliserSettings {
  const { lowercase, strip_accents, handle_chinese_chars, clean_text } = raw;
  return {
    lowercase: lowercase !== false,
    ...(typeof strip_accents === 'boolean' ? { stripAccents: strip_accents } : {}),
    splitChinese: handle_chinese_chars !== false,
    clean: clean_text !== false,
  };
}

function ids(vocab: Raw | undefined): Map<string, number> {
  if (vocab === undefined) throw invalid('it has no vocabulary');
  const entries = Object.entries(vocab);
  for (const [token, id] of entries) if (!isId(id)) throw invalid(`the id of ${JSON.stringify(token)} is no id`);
  return new Map(entries as [string, number][]);
}

const isId = (id: unknown): id is number => Number.isInteger(id) && (id as number) >= 0 && (id as number) < HIGHEST_ID;

function record(value: unknown): Raw | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : undefined;
}

const text = (value: unknown, otherwise: string): string => (typeof value === 'string' ? value : otherwise);

function invalid(what: string): TacitError<TextErrorCode> {
  return new TacitError<TextErrorCode>('TOKENIZER_INVALID', what, { where: WHERE });
}

function unsupported(what: string, fix: string): TacitError<TextErrorCode> {
  return new TacitError<TextErrorCode>('TOKENIZER_UNSUPPORTED', what, { where: WHERE, fix });
}
