import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readDataFiles } from '../../../shared/node/data-files.ts';
import { prepareMail } from '../../../shared/node/datasets/spam-assassin.ts';

const root = mkdtempSync(join(tmpdir(), 'tacit-data-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const columns = { text: 'text', label: 'label', labels: ['ham', 'spam'] };
const put = (path: string, content: string | Uint8Array): string => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), content);
  return join(root, path);
};
const coded = (code: string) => expect.objectContaining({ code });

test('a file, and a folder of tables, mails and texts', async () => {
  const csv = put('all/a.csv', 'text,label\none,ham\n,spam\n');
  put('all/b.jsonl', '{"text":"two","label":"spam"}\n');
  put('all/spam/c.eml', 'Subject: [tag] three\r\nX: y\r\n\r\nsee http://x.example\r\n');
  put('all/ham/d.txt', 'four\n');
  put('all/ham/e.txt', Uint8Array.of(0xff));
  put('all/other/f.txt', 'five');
  put('all/readme.md', 'not data');
  expect((await readDataFiles(csv, columns)).records).toEqual([{ id: 'a.csv:2', text: 'one', label: 'ham' }]);
  const { records, report } = await readDataFiles(join(root, 'all'), columns);
  expect(records).toEqual([
    { id: 'a.csv:2', text: 'one', label: 'ham' },
    { id: 'b.jsonl:1', text: 'two', label: 'spam' },
    { id: 'ham/d.txt:1', text: 'four', label: 'ham' },
    { id: 'spam/c.eml:1', text: 'three\nsee url', label: 'spam' },
  ]);
  expect(report).toMatchObject({ read: 7, kept: 4 });
  expect(report.dropped.flatMap((d) => d.examples.map((e) => `${d.reason} ${e.source}`)).sort()).toEqual([
    'bad-utf8 ham/e.txt',
    'empty-text a.csv',
    'unknown-label other/f.txt',
  ]);
});

test('what cannot be read is refused in words', async () => {
  await expect(readDataFiles(join(root, 'nothing.csv'), columns)).rejects.toThrow(coded('DATA_UNREADABLE'));
  await expect(readDataFiles(join(put('file.csv', ''), 'below.csv'), columns)).rejects.toThrow(
    coded('DATA_UNREADABLE'),
  );
  await expect(readDataFiles(put('x.xlsx', 'PK'), columns)).rejects.toThrow(coded('DATA_FORMAT'));
  mkdirSync(join(root, 'empty'));
  await expect(readDataFiles(join(root, 'empty'), columns)).rejects.toThrow(coded('DATA_EMPTY'));
  await expect(readDataFiles(put('cols.csv', 'a,b\n1,2\n'), columns)).rejects.toThrow(coded('DATA_COLUMNS'));
});

test('the real mails: as measured in docs/DATA.md, in bounded time', async () => {
  const { silos, validation, test: held, report } = await prepareMail({ seed: 1 });
  expect(report.read).toBe(6046);
  expect(report.kept).toBe(silos.reduce((n, s) => n + s.records.length, 0) + validation.length + held.length);
  expect(Math.abs(report.kept - 5061)).toBeLessThan(30);
  expect(Math.abs((report.labels.ham as number) / report.kept - 0.766)).toBeLessThan(0.005);
  expect(silos.map((s) => s.organisation)).toHaveLength(5);
  const texts = [...silos.flatMap((s) => s.records), ...validation, ...held];
  expect(new Set(texts.map((r) => r.id)).size).toBe(report.kept);
  expect(
    texts.filter((r) => /taint\.org|\/listinfo\/|https?:\/\/\w|DeathToSpam/i.test(r.text)).map((r) => r.id),
  ).toEqual([]);
});

test('texts without labels: a file, a paragraph or a line is one, and a table needs no label column', async () => {
  const unlabelled = { text: 'body', labels: [] };
  const text = 'First line.\nSecond line.\r\n\r\n \nA third, see http://x.example\n';
  const file = put('raw/note.txt', text);
  const textsOf = async (path: string, textPer?: 'file' | 'paragraph' | 'line') => {
    const { records, report } = await readDataFiles(path, {
      ...unlabelled,
      ...(textPer === undefined ? {} : { textPer }),
    });
    expect(report).toMatchObject({ read: records.length, kept: records.length, labels: {} });
    return records.map(({ id, text, label }) => [id, text, label]);
  };
  expect(await textsOf(file)).toEqual([['note.txt:1', 'First line. Second line. A third, see url', '']]);
  expect(await textsOf(file, 'paragraph')).toEqual([
    ['note.txt:1', 'First line. Second line.', ''],
    ['note.txt:5', 'A third, see url', ''],
  ]);
  expect((await textsOf(file, 'line')).map(([id]) => id)).toEqual(['note.txt:1', 'note.txt:2', 'note.txt:5']);
  put('raw/b.csv', 'id,body\n1,"a, b"\n');
  put('raw/deep/c.jsonl', '{"body":"c"}\n');
  expect((await textsOf(join(root, 'raw'), 'line')).map(([, t]) => t).slice(0, 2)).toEqual(['a, b', 'c']);
  await expect(readDataFiles(file, columns)).rejects.toThrow(coded('DATA_FORMAT'));
  await expect(readDataFiles(put('raw/blank.txt', ' \n'), { ...unlabelled, textPer: 'line' })).rejects.toThrow(
    coded('DATA_EMPTY'),
  );
  await expect(readDataFiles(join(root, 'raw', 'b.csv'), { text: 'other', labels: [] })).rejects.toThrow(/column/);
});
