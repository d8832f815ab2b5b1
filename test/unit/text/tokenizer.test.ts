import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openTokenizer } from '../../../shared/protocol/stage-model.ts';
import { normalise, wordsOf } from '../../../shared/text/bert-words.ts';
import { encodeRecords } from '../../../shared/text/encode.ts';
import { createTokenizer } from '../../../shared/text/tokenizer.ts';
import { checkWordpiece } from '../../conformance/wordpiece.ts';

const path = fileURLToPath(new URL('../../vectors/', import.meta.url));
const read = (name: string): string => readFileSync(`${path}wordpiece/${name}`, 'utf8');
const coded = (code: string, part = '') => expect.objectContaining({ code, message: expect.stringContaining(part) });

test('equals transformers on every case, from tokenizer.json and from vocab.txt', () => {
  const { passed, failures } = checkWordpiece(path);
  expect(failures).toEqual([]);
  expect(passed).toBeGreaterThan(500);
});

test('equals transformers on odd characters, whatever the normaliser does', () => {
  const { passed, failures } = checkWordpiece(`${path}wordpiece-odd`);
  expect(failures).toEqual([]);
  expect(passed).toBeGreaterThan(1500);
});

test('reads a tokenizer.json of before the model had a type, as tokenizers does', () => {
  const { model, ...rest } = JSON.parse(read('uncased/tokenizer.json')) as { model: Record<string, unknown> };
  const { type: _type, ...untyped } = model;
  const old = createTokenizer({ tokenizerJson: JSON.stringify({ ...rest, model: untyped }) });
  expect(old.pieces('hello world')).toEqual([33, 258, 65, 406, 67, 80]);
  const { continuing_subword_prefix: _prefix, ...other } = untyped;
  expect(() => createTokenizer({ tokenizerJson: JSON.stringify({ ...rest, model: other }) })).toThrow(
    coded('TOKENIZER_UNSUPPORTED'),
  );
});

test('cuts around every character as tokenizers does', () => {
  const { words, variants } = JSON.parse(readFileSync(`${path}wordpiece-odd/wordpiece.json`, 'utf8')) as {
    words: Record<string, { below: number; sha256: string }>;
    variants: Record<string, { lowercase: boolean; strip_accents: boolean | null; tokenize_chinese_chars: boolean }>;
  };
  for (const [name, { below, sha256 }] of Object.entries(words)) {
    const {
      lowercase,
      strip_accents,
      tokenize_chinese_chars: splitChinese,
    } = variants[name] as (typeof variants)[string];
    const settings = { lowercase, splitChinese, ...(strip_accents === null ? {} : { stripAccents: strip_accents }) };
    const hash = createHash('sha256');
    for (let c = 0; c < below; c++) {
      if (c < 0xd800 || c >= 0xe000)
        hash.update(`${JSON.stringify(wordsOf(normalise(`a${String.fromCodePoint(c)}b`, settings)))}\n`);
    }
    expect([name, hash.digest('hex')]).toEqual([name, sha256]);
  }
});

describe('a directory with vocab.txt and no tokenizer.json', () => {
  const vocabulary = Buffer.from('[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nUlm\nulm\n\u00fc\nu\n\u4e2d\u6587\n\u4e2d\n');
  const open = (settings: object) =>
    openTokenizer(
      new Map([
        ['vocab.txt', vocabulary],
        ['tokenizer_config.json', Buffer.from(JSON.stringify(settings))],
      ]),
    );
  test('is read with the casing, accents and ideographs of its tokenizer_config.json', () => {
    expect(open({}).pieces('Ulm \u00fc \u4e2d')).toEqual([6, 8, 10]);
    expect(open({ do_lower_case: false }).pieces('Ulm \u00fc')).toEqual([5, 7]);
    expect(open({ strip_accents: false }).pieces('Ulm \u00fc')).toEqual([6, 7]);
    expect(open({ tokenize_chinese_chars: false }).pieces('\u4e2d\u6587')).toEqual([9]);
    expect(openTokenizer(new Map([['vocab.txt', vocabulary]])).pieces('Ulm')).toEqual([6]);
  });
  test('is refused by name where an option would cut texts otherwise', () => {
    expect(() => open({ never_split: ['Ulm'] })).toThrow(coded('TOKENIZER_UNSUPPORTED', 'never_split'));
    expect(() => open({ do_basic_tokenize: false })).toThrow(coded('TOKENIZER_UNSUPPORTED', 'do_basic_tokenize'));
    expect(() => open({ do_lower_case: 'no' })).toThrow(coded('TOKENIZER_INVALID', 'do_lower_case'));
    expect(() => open([])).toThrow(coded('TOKENIZER_INVALID'));
  });
});

describe('added tokens of a tokenizer.json', () => {
  const described = JSON.parse(read('uncased/tokenizer.json')) as { added_tokens: object[] };
  const withToken = (token: object) =>
    createTokenizer({
      tokenizerJson: JSON.stringify({ ...described, added_tokens: [...described.added_tokens, { id: 900, ...token }] }),
    });
  // What tokenizers 0.23.3 gives for tokenizer.add_tokens(AddedToken(…)).
  test('are never cut: as written, or where the normalised text has them', () => {
    const plain = createTokenizer({ tokenizerJson: read('uncased/tokenizer.json') });
    const [a, b] = [plain.pieces('the'), plain.pieces('note')];
    expect(withToken({ content: 'CoV-2', normalized: false }).pieces('theCoV-2note')).toEqual([...a, 900, ...b]);
    expect(withToken({ content: 'CoV-2', normalized: false }).pieces('cov-2')).not.toContain(900);
    expect(withToken({ content: 'CoV-2', normalized: true }).pieces('the c\u00d3v-2')).toEqual([...a, 900]);
    const spaced = withToken({ content: 'a  b', normalized: false });
    expect(spaced.pieces('the a  b note')).toEqual([...a, 900, ...b]);
    expect(spaced.token(900)).toBe('a  b');
    expect(spaced.vocabularySize).toBe(901);
  });
  test('of another kind are refused by name', () => {
    expect(() => withToken({ content: 'x', single_word: true })).toThrow(coded('TOKENIZER_UNSUPPORTED', 'single_word'));
    expect(() => withToken({ content: 'x', id: 1e9 })).toThrow(coded('TOKENIZER_INVALID'));
  });
});

describe('tokenizer', () => {
  const tokenizer = createTokenizer({ vocabulary: read('uncased/vocab.txt') });

  test('reading word by word with a memory changes nothing', () => {
    const text =
      'Der ΟΔΥΣΣΕΥΣ ΣΑΣ.\u00a0x\u2003y \u0301a e\u0301 [MASK] [MASK]. 東京 it\u2019s\ttab\r\nunaffordable training';
    const whole = createTokenizer({ tokenizerJson: read('uncased/tokenizer.json') });
    const first = tokenizer.pieces(text);
    expect(tokenizer.pieces(text)).toEqual(first);
    expect(text.split(/[ \t\r\n]+/).flatMap((w) => whole.pieces(w))).toEqual(first);
  });
  test('a cut text has the first pieces of the whole', () => {
    const text = 'the quick brown fox jumps over the lazy dog '.repeat(50);
    const all = tokenizer.pieces(text);
    for (const n of [0, 1, 7, 100]) expect(tokenizer.pieces(text, n)).toEqual(all.slice(0, n));
    const { ids, typeIds } = tokenizer.encode(text, 16);
    expect([...ids]).toEqual([tokenizer.special.cls, ...all.slice(0, 14), tokenizer.special.sep]);
    expect(typeIds).toEqual(new Int32Array(16));
  });
  test('what cannot be done is said', () => {
    expect(() => tokenizer.encode('a', 1)).toThrow(coded('TOKENIZER_INPUT'));
    expect(() => tokenizer.encode('a', 4, { pair: 'b c d e f', truncation: 'only_first' })).toThrow(
      coded('TOKENIZER_INPUT', 'first'),
    );
    expect(() => createTokenizer({ tokenizerJson: '{' })).toThrow(coded('TOKENIZER_INVALID'));
    expect(() => createTokenizer({ tokenizerJson: 'null' })).toThrow(coded('TOKENIZER_UNSUPPORTED'));
    expect(() => createTokenizer({ tokenizerJson: '{"model":{"type":"BPE"}}' })).toThrow(
      coded('TOKENIZER_UNSUPPORTED', 'BPE'),
    );
    const short = { pair: 'b', truncation: 'only_second' } as const;
    expect(() => tokenizer.encode('a b c', 6, short)).toThrow(coded('TOKENIZER_INPUT', 'second'));
    // Without any room both go, as in tokenizers.
    expect([...tokenizer.encode('a b c', 3, short).ids]).toEqual([2, 3, 3]);
    expect(() => createTokenizer({ vocabulary: '[PAD]\n[UNK]\nword\n' })).toThrow(
      coded('TOKENIZER_INVALID', '[CLS], [SEP], [MASK]'),
    );
  });
  test('records are encoded with their label', () => {
    const record = { id: 'a:1', text: 'hello world', label: 'spam' };
    const [example] = encodeRecords([record], tokenizer, { labels: ['ham', 'spam'], maxTokens: 8 });
    expect(example).toEqual({ ids: Int32Array.of(2, 33, 258, 65, 406, 67, 80, 3), label: 1 });
    expect(() => encodeRecords([record], tokenizer, { labels: ['ham'], maxTokens: 8 })).toThrow(coded('DATA_LABELS'));
  });
});
