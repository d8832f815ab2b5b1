import { describe, expect, it } from 'vitest';
import { utf8 } from '../../../shared/core/bytes.ts';
import { canonicalJson } from '../../../shared/core/canonical.ts';
import { decodeEntry, type EntryInput, encodeEntry, rosterHash } from '../../../shared/ledger/entries.ts';
import { incident, opening, planCommit, release } from '../../support/ledger.ts';

const at = '2026-03-01T09:00:00.000Z';

describe('entries', () => {
  it.each([opening('3'), planCommit('r'), release('r', 1, 'x'), incident(1)] as EntryInput[])(
    '$kind survives its bytes',
    (input) => {
      const { entry, text } = encodeEntry(input, at);
      expect(decodeEntry(utf8(text))).toEqual(entry);
    },
  );

  it('only RFC 8785 text is an entry: another order, a space or a byte order mark is refused', () => {
    const { text } = encodeEntry(incident(1), at);
    const other = JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(text)).reverse()));
    for (const bad of [other, ` ${text}`, text.replace(':', ': '), `\ufeff${text}`, text.slice(1), '']) {
      expect(() => decodeEntry(utf8(bad)), bad).toThrow();
    }
  });

  it('an unknown kind, version, field, or a number where text is due is refused by name', () => {
    const { entry } = encodeEntry(planCommit('r'), at);
    const refuse = (change: object, message: RegExp): void =>
      expect(() => decodeEntry(utf8(canonicalJson({ ...entry, ...change })))).toThrow(message);
    refuse({ kind: 'plan.commited' }, /kind/);
    refuse({ version: 2 }, /version/);
    refuse({ at: 'yesterday' }, /at/);
    refuse({ surprise: 1 }, /surprise/);
    refuse({ certificate: { ...entry.certificate, epsilon: 1 } }, /certificate\.epsilon/);
    refuse({ certificate: { ...entry.certificate, epsilon: '-1' } }, /certificate\.epsilon/);
    refuse({ planHash: entry.planHash.toUpperCase() }, /planHash/);
    refuse({ run: 'a b' }, /run/);
  });

  it('an entry of 65,535 bytes is the largest', () => {
    const overhead = utf8(encodeEntry({ ...incident(1), detail: { t: '' } }, at).text).length;
    const sized = (bytes: number): EntryInput<'incident'> => ({
      ...incident(1),
      detail: { t: 'x'.repeat(bytes - overhead) },
    });
    expect(utf8(encodeEntry(sized(65_535), at).text)).toHaveLength(65_535);
    expect(() => encodeEntry(sized(65_536), at)).toThrow(/65536 bytes, over 65535/);
  });

  it('the roster hash does not depend on the order of members', () => {
    const members = ['b', 'a', 'c'].map((c) => ({
      clientId: c,
      organisation: 'O',
      publicKey: 'A'.repeat(43).concat('='),
    }));
    expect(rosterHash(members)).toBe(rosterHash([...members].reverse()));
    expect(rosterHash(members)).not.toBe(rosterHash(members.slice(1)));
  });
});
