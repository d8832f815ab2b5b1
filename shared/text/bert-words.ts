import { DROPPED, IDEOGRAPHS, MARKS, PUNCTUATION, SPACE } from './character-classes.ts';

/** BERT's normaliser, as tokenizer_config.json has it. */
export interface NormaliserSettings {
  /** `do_lower_case`, default true. */
  readonly lowercase?: boolean;
  /** `strip_accents`, default: as `lowercase`. */
  readonly stripAccents?: boolean;
  /** `tokenize_chinese_chars`: each CJK ideograph is a word. Default true. */
  readonly splitChinese?: boolean;
  /** Control characters go, white space becomes a space. Default true; only tokenizer.json can say no. */
  readonly clean?: boolean;
}

const dropped = new RegExp(`[${DROPPED}]`, 'gu');
const space = new RegExp(`[${SPACE}]`, 'gu');
const ideographs = new RegExp(`[${IDEOGRAPHS}]`, 'gu');
const marks = new RegExp(`[${MARKS}]`, 'gu');
const words = new RegExp(`[${PUNCTUATION}]|[^${PUNCTUATION}${SPACE}]+`, 'gu');

/** tokenizers' `BertNormalizer`: clean, set ideographs apart, strip accents, lower case, in this order. */
export function normalise(
  text: string,
  { lowercase = true, stripAccents = lowercase, splitChinese = true, clean = true }: NormaliserSettings = {},
): string {
  let out = text;
  if (clean) out = out.replace(dropped, '').replace(space, ' ');
  if (splitChinese) out = out.replace(ideographs, ' $& ');
  if (stripAccents) out = out.normalize('NFD').replace(marks, '');
  // Character by character, as tokenizers does it: of a word JavaScript would make the last Σ a ς.
  return lowercase ? out.replaceAll('Σ', 'σ').toLowerCase() : out;
}

/** tokenizers' `BertPreTokenizer`: what stands between white space, and each punctuation mark by itself. */
export function wordsOf(normalised: string): string[] {
  return normalised.match(words) ?? [];
}
