import { describe, expect, test } from 'vitest';
import { LIMITS } from '../../../shared/core/limits.ts';
import { jsonlOf } from '../../../shared/text/jsonl.ts';
import { parseCsv, parseJsonl, type RecordColumns } from '../../../shared/text/records.ts';

const columns: RecordColumns = { text: 'text', label: 'label', labels: ['ham', 'spam'], source: 'mail.csv' };
const bytes = (...parts: (string | number[])[]): Uint8Array =>
  Buffer.concat(parts.map((p) => Buffer.from(p as string)));
const coded = (code: string, part = '') => expect.objectContaining({ code, message: expect.stringContaining(part) });

describe('CSV', () => {
  test('every row is a record or a counted reason with its line', () => {
    const { records, report } = parseCsv(
      bytes(
        '\ufefftext,label\r\n"a ""q"", b\nsecond",ham\r\nb,spam\r\n  ,ham\r\n\r\nc,eggs\r\nbad ',
        [0xff, 0xfe],
        ',ham\r\nx,ham,more\r\nlast,spam',
      ),
      columns,
    );
    expect(records).toEqual([
      { id: 'mail.csv:2', text: 'a "q", b\nsecond', label: 'ham' },
      { id: 'mail.csv:4', text: 'b', label: 'spam' },
      { id: 'mail.csv:10', text: 'last', label: 'spam' },
    ]);
    expect(Object.fromEntries(report.dropped.map((d) => [d.reason, d.examples.map((e) => e.line)]))).toEqual({
      'empty-text': [5],
      'unknown-label': [7],
      'bad-utf8': [8],
      'bad-row': [9],
    });
    expect(report).toMatchObject({ read: 7, kept: 3, labels: { ham: 1, spam: 2 } });
    expect(JSON.stringify(report)).not.toContain('second');
  });

  test('semicolons, tabs, a header handed in, joined columns and label values (AG News)', () => {
    expect(parseCsv(bytes('label;text\nham;a,b'), columns).records[0]?.text).toBe('a,b');
    expect(parseCsv(bytes('label\ttext\nham\ta;b'), columns).records[0]?.text).toBe('a;b');
    const news = parseCsv(bytes('"3","Wall St.","Short-sellers, again"\n"1","Title","Text"\n'), {
      text: ['title', 'description'],
      label: 'class',
      header: ['class', 'title', 'description'],
      labels: ['World', 'Sports', 'Business', 'Sci/Tech'],
      labelValues: { 1: 'World', 2: 'Sports', 3: 'Business', 4: 'Sci/Tech' },
    });
    expect(news.records).toEqual([
      { id: 'data:1', text: 'Wall St.\nShort-sellers, again', label: 'Business' },
      { id: 'data:2', text: 'Title\nText', label: 'World' },
    ]);
  });

  test('persons', () => {
    const { records, report } = parseCsv(bytes('text,label,who\na,ham,p1\nb,ham,p1\nc,ham,\n'), {
      ...columns,
      person: 'who',
    });
    expect(records.map((r) => r.person)).toEqual(['p1', 'p1']);
    expect(report).toMatchObject({ persons: 1, dropped: [{ reason: 'no-person', count: 1 }] });
  });

  test('wrong files are refused in words', () => {
    expect(() => parseCsv(bytes('body,class\na,ham'), columns)).toThrow(
      coded('DATA_COLUMNS', 'no column text, label; the file has body, class'),
    );
    expect(() => parseCsv(bytes('text,label\n"open,ham\nb,ham\n'), columns)).toThrow(coded('DATA_FORMAT'));
    expect(() => parseCsv(bytes(''), columns)).toThrow(coded('DATA_COLUMNS'));
    expect(() => parseCsv(bytes('text,label\n'), columns)).toThrow(coded('DATA_EMPTY'));
    expect(() => parseCsv(bytes('text,label\nsecret text,0\n'), columns)).toThrow(coded('DATA_LABELS', 'ham, spam'));
    expect(() => parseCsv(bytes('text,label\n ,ham\n'), columns)).toThrow(coded('DATA_EMPTY', '1 empty-text'));
  });

  test('a line over the limit is dropped, the rest read', () => {
    const long = 'x'.repeat(LIMITS.recordBytes + 1);
    const { records, report } = parseCsv(bytes(`text,label\n${long},ham\nb,ham\n`), columns);
    expect(records).toHaveLength(1);
    expect(report.dropped).toEqual([{ reason: 'too-long', count: 1, examples: [{ source: 'mail.csv', line: 2 }] }]);
  });

  test('arbitrary bytes end in records or a coded error', () => {
    for (let seed = 0; seed < 200; seed++) {
      const junk = Uint8Array.from(
        { length: 300 },
        (_, i) => [34, 44, 10, 13, 97, 255][(seed * 31 + i * i * 7 + (i >> 3) * seed) % 6] as number,
      );
      try {
        parseCsv(bytes('text,label\n', [...junk]), columns);
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^DATA_/) });
      }
    }
  });
});

describe('JSONL', () => {
  test('every line is a record or a counted reason', () => {
    const { records, report } = parseJsonl(
      bytes(
        '{"text":"a\\nb","label":"ham"}\r\n\n{oops\n[1]\n{"text":7,"label":"spam"}\n{"label":"ham"}\n{"text":"',
        [0xc3],
        '","label":"ham"}\n',
      ),
      columns,
    );
    expect(records.map((r) => r.text)).toEqual(['a\nb', '7']);
    expect(report).toMatchObject({ read: 6, kept: 2 });
    expect(Object.fromEntries(report.dropped.map((d) => [d.reason, d.count]))).toEqual({
      'bad-row': 2,
      'empty-text': 1,
      'bad-utf8': 1,
    });
  });
  test('what is written is read back', () => {
    const { records } = parseCsv(bytes('text,label\n"two\nlines, ""quoted"" \u{1f600}",ham\n'), columns);
    const again = parseJsonl(bytes(jsonlOf(records)), columns);
    expect(again.records.map(({ text, label }) => ({ text, label }))).toEqual(
      records.map(({ text, label }) => ({ text, label })),
    );
  });
  test('keys that are not there', () => {
    expect(() => parseJsonl(bytes('{"body":"a"}\n'), columns)).toThrow(coded('DATA_COLUMNS', 'the file has body'));
  });
});
