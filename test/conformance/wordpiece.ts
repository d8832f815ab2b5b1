import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { NormaliserSettings } from '../../shared/text/bert-words.ts';
import { createTokenizer, type EncodeOptions, type Encoding, type Tokenizer } from '../../shared/text/tokenizer.ts';
import { conformanceCommand } from './command.ts';

interface CallOptions {
  truncation?: 'longest_first' | 'only_first' | 'only_second' | boolean;
  padding?: boolean | 'longest' | 'max_length';
  max_length?: number;
  pad_to_multiple_of?: number;
  add_special_tokens?: boolean;
}
interface Expected {
  ids: number[];
  type_ids: number[];
  attention_mask: number[];
}
interface Case extends Expected {
  id: string;
  text: string;
  pair?: string;
  tokens: string[];
  options?: CallOptions;
  alternative?: Partial<Expected>;
}
interface Variant {
  vocab: string;
  tokenizer: string;
  lowercase: boolean;
  vocabSize: number;
  cases: Case[];
  batches?: {
    texts: string[];
    options: CallOptions;
    ids: number[][];
    type_ids: number[][];
    attention_mask: number[][];
  }[];
  decode?: { ids: number[]; skipSpecialTokens: boolean; text: string }[];
}

export interface ConformanceResult {
  readonly passed: number;
  readonly failures: readonly string[];
}

/** Checks a tokenizer against a file in the format of test/vectors/wordpiece.json, from tokenizer.json and from vocab.txt. */
export function checkWordpiece(path: string): ConformanceResult {
  const file = statSync(path).isDirectory() ? join(path, 'wordpiece.json') : path;
  const { variants } = JSON.parse(readFileSync(file, 'utf8')) as { variants: Record<string, Variant> };
  let passed = 0;
  const failures: string[] = [];
  const check = (name: string, actual: () => unknown, ...expected: unknown[]): void => {
    let text: string;
    try {
      text = JSON.stringify(actual());
    } catch (error) {
      text = (error as Error).message;
    }
    if (expected.some((e) => JSON.stringify(e) === text)) passed++;
    else failures.push(`${name}: got ${text}, expected ${JSON.stringify(expected[0])}`);
  };
  for (const [name, variant] of Object.entries(variants)) {
    const read = (p: string): string => readFileSync(join(dirname(file), p), 'utf8');
    const sources: [string, Tokenizer][] = [
      [`${name} tokenizer.json`, createTokenizer({ tokenizerJson: read(variant.tokenizer) })],
      [
        `${name} vocab.txt`,
        createTokenizer({ vocabulary: read(variant.vocab), ...settingsOf(variant, read(variant.tokenizer)) }),
      ],
    ];
    for (const [source, tokenizer] of sources) checkVariant(source, variant, tokenizer, check);
  }
  return { passed, failures };
}

function checkVariant(
  source: string,
  variant: Variant,
  tokenizer: Tokenizer,
  check: (name: string, actual: () => unknown, ...expected: unknown[]) => void,
): void {
  check(`${source} size`, () => tokenizer.vocabularySize, variant.vocabSize);
  for (const c of variant.cases) {
    const actual = (): Expected => pad(call(tokenizer, c.text, c.pair, c.options), c.options, 0, tokenizer.special.pad);
    const expected = { ids: c.ids, type_ids: c.type_ids, attention_mask: c.attention_mask };
    check(
      `${source} case ${c.id}`,
      actual,
      expected,
      ...(c.alternative === undefined ? [] : [{ ...expected, ...pick(c.alternative) }]),
    );
    if (c.alternative === undefined)
      check(`${source} case ${c.id} tokens`, () => actual().ids.map((id) => tokenizer.token(id)), c.tokens);
  }
  for (const [i, batch] of (variant.batches ?? []).entries()) {
    const actual = (): unknown => {
      const encodings = batch.texts.map((t) => call(tokenizer, t, undefined, batch.options));
      const longest = Math.max(...encodings.map((e) => e.ids.length));
      const rows = encodings.map((e) => pad(e, batch.options, longest, tokenizer.special.pad));
      return {
        ids: rows.map((r) => r.ids),
        type_ids: rows.map((r) => r.type_ids),
        attention_mask: rows.map((r) => r.attention_mask),
      };
    };
    check(`${source} batch ${i}`, actual, {
      ids: batch.ids,
      type_ids: batch.type_ids,
      attention_mask: batch.attention_mask,
    });
  }
  for (const [i, d] of (variant.decode ?? []).entries()) {
    check(`${source} decode ${i}`, () => tokenizer.decode(d.ids, { skipSpecialTokens: d.skipSpecialTokens }), d.text);
  }
}

/** What a tokenizer_config.json would say beside vocab.txt: the casing, and what tokenizer.json does else. */
function settingsOf({ lowercase }: Variant, tokenizerJson: string): NormaliserSettings {
  const { normalizer } = JSON.parse(tokenizerJson) as {
    normalizer: { strip_accents: boolean | null; handle_chinese_chars: boolean };
  };
  return {
    lowercase,
    ...(normalizer.strip_accents === null ? {} : { stripAccents: normalizer.strip_accents }),
    splitChinese: normalizer.handle_chinese_chars,
  };
}

const pick = ({ ids, type_ids, attention_mask }: Partial<Expected>): Partial<Expected> =>
  JSON.parse(JSON.stringify({ ids, type_ids, attention_mask })) as Partial<Expected>;

function call(tokenizer: Tokenizer, text: string, pair: string | undefined, options: CallOptions = {}): Encoding {
  if (options.add_special_tokens === false) return withoutSpecials(tokenizer, text, pair, options);
  const truncation = options.truncation === true ? 'longest_first' : options.truncation || undefined;
  const maxTokens =
    truncation === undefined ? Number.POSITIVE_INFINITY : (options.max_length ?? Number.POSITIVE_INFINITY);
  const wanted: EncodeOptions = {
    ...(pair === undefined ? {} : { pair }),
    ...(truncation === undefined ? {} : { truncation }),
  };
  return tokenizer.encode(text, maxTokens, wanted);
}

/** The pieces of one or two texts: what is encoded, less the special tokens around them, which the room grows by. */
function withoutSpecials(
  tokenizer: Tokenizer,
  text: string,
  pair: string | undefined,
  { add_special_tokens: _, ...options }: CallOptions,
): Encoding {
  const specials = pair === undefined ? 2 : 3;
  const room = options.max_length === undefined ? {} : { max_length: options.max_length + specials };
  const { ids, typeIds } = call(tokenizer, text, pair, { ...options, ...room });
  const first = typeIds.filter((type) => type === 0).length;
  const inside = (_: number, at: number): boolean => at > 0 && at !== first - 1 && at < ids.length - 1;
  return { ids: ids.filter(inside), typeIds: typeIds.filter(inside) };
}

function pad(encoding: Encoding, options: CallOptions = {}, longest: number, padId: number): Expected {
  const own = encoding.ids.length;
  let length = own;
  if (options.padding === 'max_length') length = options.max_length ?? own;
  else if (options.padding !== undefined && options.padding !== false) length = Math.max(own, longest);
  const multiple = options.padding === undefined || options.padding === false ? 1 : (options.pad_to_multiple_of ?? 1);
  const fill = Math.max(0, Math.ceil(length / multiple) * multiple - own);
  const zeros = new Array<number>(fill).fill(0);
  return {
    ids: [...encoding.ids, ...new Array<number>(fill).fill(padId)],
    type_ids: [...encoding.typeIds, ...zeros],
    attention_mask: [...new Array<number>(own).fill(1), ...zeros],
  };
}

await conformanceCommand(import.meta.url, 'npm run conformance:wordpiece -- DIR-or-wordpiece.json', ([path]) => {
  const { passed, failures } = checkWordpiece(path as string);
  const lines = [
    'compared: ids, types, masks, tokens, decoded texts; not offsets, which nothing here uses',
    ...failures.map((failure) => `FAILED ${failure}`),
  ];
  return { lines, passed, failed: failures.length };
});
