import { TacitError } from '../core/errors.ts';
import type { NormaliserSettings } from './bert-words.ts';
import type { TextErrorCode } from './errors.ts';

const FILE = 'tokenizer_config.json';

/**
 * What a `tokenizer_config.json` says that a `vocab.txt` beside it does not: transformers' `BertTokenizer` options.
 * @throws TOKENIZER_INVALID, TOKENIZER_UNSUPPORTED for an option that would cut texts differently
 */
export function normaliserSettings(text: string): NormaliserSettings {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TacitError<TextErrorCode>('TOKENIZER_INVALID', `${FILE} is not JSON`, { where: FILE, cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new TacitError<TextErrorCode>('TOKENIZER_INVALID', `${FILE} is not a JSON object`, { where: FILE });
  const raw = json as Record<string, unknown>;
  const given = (key: string): boolean | undefined => {
    const value = raw[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'boolean') return value;
    throw new TacitError<TextErrorCode>('TOKENIZER_INVALID', `${key} is ${JSON.stringify(value)}`, {
      where: FILE,
      fix: 'Write true or false.',
    });
  };
  const neverSplit = raw['never_split'];
  if (given('do_basic_tokenize') === false) throw unsupported('do_basic_tokenize', false);
  if (Array.isArray(neverSplit) && neverSplit.length > 0) throw unsupported('never_split', neverSplit);
  const [lowercase, stripAccents, splitChinese] = ['do_lower_case', 'strip_accents', 'tokenize_chinese_chars'].map(
    given,
  );
  return {
    ...(lowercase === undefined ? {} : { lowercase }),
    ...(stripAccents === undefined ? {} : { stripAccents }),
    ...(splitChinese === undefined ? {} : { splitChinese }),
  };
}

function unsupported(key: string, value: unknown): TacitError<TextErrorCode> {
  return new TacitError<TextErrorCode>('TOKENIZER_UNSUPPORTED', `${key} ${JSON.stringify(value)} is not supported`, {
    where: FILE,
    fix: 'Save the tokenizer with AutoTokenizer: its tokenizer.json is read as it is.',
  });
}
