import { describe, expect, test } from 'vitest';
import { seededRng, shuffle } from '../../../shared/core/rng.ts';
import { findDuplicates } from '../../../shared/text/duplicates.ts';
import { readMailCorpus, splitMailCorpus } from '../../../shared/text/mail-corpus.ts';
import { groupsOf, shareOut, splitGroups } from '../../../shared/text/split.ts';

const words = (from: number, count: number): string =>
  Array.from({ length: count }, (_, i) => `w${from + i}`).join(' ');

describe('duplicates', () => {
  test('exact, near and similar texts, against earlier kept ones', () => {
    const base = words(0, 100);
    const texts = [
      base,
      words(1000, 100),
      `${base.toUpperCase()}!`,
      `${words(0, 90)} ${words(5000, 10)}`,
      `${words(0, 60)} ${words(6000, 30)}`,
      words(2000, 100),
      '...',
      '???',
    ];
    const { repeats, exact, similar } = findDuplicates(texts, { dropAt: 0.6, groupAt: 0.3 });
    expect([...repeats]).toEqual([-1, -1, 0, 0, -1, -1, -1, 6]);
    expect([...exact]).toEqual([0, 0, 1, 0, 0, 0, 0, 1]);
    expect(similar).toEqual([[0, 4]]);
  });

  test('finds what comparing all pairs finds', () => {
    const rng = seededRng('pairs');
    const texts = Array.from({ length: 120 }, (_, i) => {
      const list = words((i % 12) * 1000, 60).split(' ');
      const cut = (rng.bytes(1)[0] as number) % 50;
      return [...list.slice(0, cut), ...words(100_000 + i * 1000, 60 - cut).split(' ')].join(' ');
    });
    const shingles = texts.map(
      (t) => new Set(t.split(' ').flatMap((_, i, all) => (i + 5 <= all.length ? [all.slice(i, i + 5).join(' ')] : []))),
    );
    const jaccard = (a: number, b: number): number => {
      const [x, y] = [shingles[a] as Set<string>, shingles[b] as Set<string>];
      const common = [...x].filter((s) => y.has(s)).length;
      return common / (x.size + y.size - common);
    };
    const { repeats, similar } = findDuplicates(texts, { dropAt: 0.6, groupAt: 0.3 });
    const found = new Set(similar.map(([a, b]) => `${a} ${b}`));
    const kept = texts.map((_, i) => i).filter((i) => repeats[i] === -1);
    let expected = 0;
    for (const b of kept) {
      for (const a of kept.filter((k) => k < b)) {
        expect(jaccard(a, b)).toBeLessThan(0.6);
        if (jaccard(a, b) < 0.3) continue;
        expected++;
        expect(found.has(`${a} ${b}`)).toBe(true);
      }
    }
    expect(found.size).toBe(expected);
    expect(expected).toBeGreaterThan(20);
    for (const [i, j] of repeats.entries()) if (j !== -1) expect(jaccard(i, j)).toBeGreaterThanOrEqual(0.6);
  });
});

describe('splits', () => {
  test('groups are the connected components', () => {
    expect([
      ...groupsOf(7, [
        [5, 2],
        [2, 6],
        [0, 1],
        [1, 0],
      ]),
    ]).toEqual([0, 0, 2, 3, 4, 2, 2]);
  });
  test('no group is divided, sizes are met, a seed repeats', () => {
    const rng = seededRng('groups');
    const groupOf = Int32Array.from({ length: 1000 }, (_, i) =>
      Math.floor(i / (1 + ((rng.bytes(1)[0] as number) % 4))),
    );
    const split = splitGroups(groupOf, 0.1, seededRng('a'));
    expect(split.test).toHaveLength(100);
    expect(split.validation).toHaveLength(100);
    expect([...split.train, ...split.validation, ...split.test].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
    const groups = (items: number[]) => new Set(items.map((i) => groupOf[i]));
    for (const g of groups(split.test))
      expect(groups(split.validation).has(g) || groups(split.train).has(g)).toBe(false);
    for (const g of groups(split.validation)) expect(groups(split.train).has(g)).toBe(false);
    expect(splitGroups(groupOf, 0.1, seededRng('a'))).toEqual(split);
    expect(splitGroups(groupOf, 0.1, seededRng('b'))).not.toEqual(split);
  });
  test('origins stay whole and shares are nearly met', () => {
    const origins = shuffle(
      seededRng('origins'),
      Array.from({ length: 1000 }, (_, i) => (i < 300 ? 'big' : `o${Math.floor(Math.sqrt(i))}`)),
    );
    const shares = [0.4, 0.35, 0.25];
    const out = shareOut(origins, shares);
    expect(out.flat().sort((a, b) => a - b)).toEqual(origins.map((_, i) => i));
    for (const [k, items] of out.entries())
      expect(Math.abs(items.length / 1000 - (shares[k] as number))).toBeLessThan(0.05);
    const placeOf = new Map<string, number>();
    for (const [k, items] of out.entries()) {
      for (const i of items) {
        const origin = origins[i] as string;
        expect(placeOf.get(origin) ?? k).toBe(k);
        placeOf.set(origin, k);
      }
    }
  });
});

test('a corpus of mails: what is dropped is counted, threads stay together, the order of events is fixed', async () => {
  const mail = (i: number, headers: string, body: string, label = i % 3 === 0 ? 'spam' : 'ham') => ({
    source: `m${i}`,
    label,
    bytes: new TextEncoder().encode(
      `From: p${i % 10}@d${i % 5}.example\r\nMessage-ID: <${i}@x>\r\n${headers}\r\n\r\n${body}\r\n`,
    ),
  });
  const mails = Array.from({ length: 100 }, (_, i) =>
    mail(
      i,
      i % 4 === 3 ? `Subject: answer ${i}\r\nIn-Reply-To: <${i - 1}@x>` : `Subject: topic ${i}`,
      words(i * 1000, 40),
    ),
  );
  mails.push(mail(200, 'Subject: topic 0', words(0, 40), 'ham'), mail(201, 'Subject:', ''));
  const options = {
    seed: 1,
    heldOut: 0.1,
    organisations: [
      { name: 'a', share: 0.6 },
      { name: 'b', share: 0.4 },
    ],
  };
  const read = () => readMailCorpus(mails, { hosts: [], words: [] });
  const prepared = splitMailCorpus(await read(), options);
  const { silos, validation, test: held, report } = prepared;
  expect(report).toMatchObject({ read: 102, kept: 100, groups: 75, largestGroup: 2, conflicts: 1 });
  expect(report.dropped.map((d) => [d.reason, d.count])).toEqual(
    expect.arrayContaining([
      ['duplicate', 1],
      ['empty-text', 1],
    ]),
  );
  const place = new Map<string, string>();
  for (const { organisation, records } of silos)
    for (const r of records) place.set(r.id, organisation === 'a' || organisation === 'b' ? 'silo' : '');
  for (const r of validation) place.set(r.id, 'validation');
  for (const r of held) place.set(r.id, 'test');
  expect(place.size).toBe(100);
  expect([validation.length, held.length]).toEqual([10, 10]);
  for (let i = 3; i < 100; i += 4) expect(place.get(`m${i}`)).toBe(place.get(`m${i - 1}`));
  const senders = new Set(silos.flatMap((s) => s.records.map((r) => Number(r.id.slice(1)) % 10)));
  for (const r of held) expect(report.unseenSenders.has(r.id)).toBe(!senders.has(Number(r.id.slice(1)) % 10));
  expect(splitMailCorpus(await read(), options)).toEqual(prepared);
});
