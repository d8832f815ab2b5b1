import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
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
