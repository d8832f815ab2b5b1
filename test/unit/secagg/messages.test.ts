import { describe, expect, test } from 'vitest';
import { base64 } from '../../../shared/core/bytes.ts';
import { LIMITS } from '../../../shared/core/limits.ts';
import { MOST_SURPLUS_COMPONENTS } from '../../../shared/privacy/noise-ladder.ts';
import {
  openMessage,
  parseBody,
  rosterHash,
  type SecaggConfig,
  sessionOf,
  sidOf,
  signMessage,
  survivorsHash,
} from '../../../shared/secagg/messages.ts';
import { boxBytes } from '../../../shared/secagg/shares.ts';
import { badlySigned, configOf, identity, names, rosterOf, serverSigner } from '../../support/secagg-session.ts';

const config = configOf({ n: 5 });
const signed = signMessage('config', config, serverSigner);
const code = (value: string) => expect.objectContaining({ code: value });

describe('messages', () => {
  test('open under the key that signed them, and under no other', () => {
    expect(openMessage('config', signed, serverSigner.publicKey)).toEqual(config);
    expect(() => openMessage('config', signed, identity('client-001').publicKey)).toThrow(code('SECAGG_SIGNATURE'));
    expect(() => openMessage('config', badlySigned(signed), serverSigner.publicKey)).toThrow(code('SECAGG_SIGNATURE'));
  });

  test('a signature for one message does not serve for another', () => {
    const body = { session: 'a'.repeat(64), sid: 'b'.repeat(64), survivors: names(5) };
    const survivors = signMessage('survivors', body, serverSigner);
    const keys = signMessage('keys', { session: 'a'.repeat(64), advertisements: [] }, serverSigner);
    expect(() => openMessage('keys', survivors, serverSigner.publicKey)).toThrow(code('SECAGG_MALFORMED'));
    expect(() => openMessage('survivors', { ...survivors, signature: keys.signature }, serverSigner.publicKey)).toThrow(
      code('SECAGG_SIGNATURE'),
    );
  });

  test('every field of M0 is required, typed, bounded and covered by the signature', () => {
    const wrong: Record<keyof SecaggConfig, unknown> = {
      protocol: 'secagg/2',
      run: '',
      round: 0,
      attempt: 0,
      stage: -1,
      rosterHash: 'A'.repeat(64),
      cohort: ['a b'],
      weightsSha256: '',
      layoutSha256: 'g'.repeat(64),
      ledger: {},
      dimension: 0,
      ringBits: 31,
      scale: 0,
      l2Clip: -1,
      committedSigma: Number.NaN,
      minimumCohort: 1.5,
      colluders: -1,
      threshold: '3',
      degree: null,
      deadlines: { advertiseMs: 0 },
      chunkBytes: 6,
    };
    for (const [field, value] of Object.entries(wrong)) {
      expect(() => parseBody('config', { ...signed, body: { ...config, [field]: value } }), field).toThrow(
        code('SECAGG_MALFORMED'),
      );
      const { [field as keyof SecaggConfig]: _, ...rest } = config;
      expect(() => parseBody('config', { ...signed, body: rest }), field).toThrow(code('SECAGG_MALFORMED'));
    }
    expect(() => parseBody('config', { ...signed, body: { ...config, extra: 1 } })).toThrow(code('SECAGG_MALFORMED'));
    const thin = { ...config, ringBits: 20 };
    const parse = (chunkBytes: number) => parseBody('config', { ...signed, body: { ...thin, chunkBytes } });
    expect(parse(20).ringBits).toBe(20);
    expect(() => parse(16), 'a word in two chunks').toThrow(code('SECAGG_MALFORMED'));
    const changed = { ...config, round: 2 };
    expect(() => openMessage('config', { ...signed, body: changed }, serverSigner.publicKey)).toThrow(
      code('SECAGG_SIGNATURE'),
    );
    expect(sessionOf(changed)).not.toBe(sessionOf(config));
  });

  test('the largest message of a client fits the limit of a message, and no list is longer than a session', () => {
    const key = base64(new Uint8Array(32));
    const box = base64(new Uint8Array(boxBytes(MOST_SURPLUS_COMPONENTS)));
    const surplusCommitments = new Array(MOST_SURPLUS_COMPONENTS).fill(key);
    const shares = Array.from({ length: 255 }, () => ({
      to: 'x'.repeat(64),
      seedCommitment: key,
      keyCommitment: key,
      surplusCommitments,
      box,
    }));
    const hash = '0'.repeat(64);
    const head = { session: hash, sid: hash, clientId: 'x'.repeat(64), seedCommitment: key, noiseCommitment: key };
    const largest = { body: { ...head, shares }, signature: base64(new Uint8Array(64)) };
    expect(parseBody('shares', largest).shares).toHaveLength(255);
    const frame = JSON.stringify({ round: 1e9, attempt: 1e6, name: 'shares', signed: largest });
    expect(frame.length).toBeLessThan(LIMITS.messageBytes / 2);
    const listOf = (n: number) => ({
      body: { session: hash, sid: hash, survivors: names(n) },
      signature: base64(new Uint8Array(64)),
    });
    expect(parseBody('survivors', listOf(LIMITS.sessionClients)).survivors).toHaveLength(LIMITS.sessionClients);
    expect(() => parseBody('survivors', listOf(LIMITS.sessionClients + 1))).toThrow(code('SECAGG_MALFORMED'));
  });

  test('the order of fields does not matter; the order of lists does', () => {
    const reversed = Object.fromEntries(Object.entries(config).reverse());
    expect(openMessage('config', { ...signed, body: reversed }, serverSigner.publicKey)).toEqual(config);
    expect(rosterHash(rosterOf(names(5)).reverse())).toBe(rosterHash(rosterOf(names(5))));
    expect(survivorsHash('s', ['a', 'b'])).not.toBe(survivorsHash('s', ['b', 'a']));
  });

  test('the sid depends on the session and on every id, key and nonce', () => {
    const key = base64(new Uint8Array(32));
    const other = base64(new Uint8Array(32).fill(1));
    const entry = { session: '', clientId: 'a', channelKey: key, maskKey: key, nonce: key };
    const sids = [
      sidOf('1', [entry]),
      sidOf('2', [entry]),
      sidOf('1', [{ ...entry, clientId: 'b' }]),
      sidOf('1', [{ ...entry, channelKey: other }]),
      sidOf('1', [{ ...entry, maskKey: other }]),
      sidOf('1', [{ ...entry, nonce: other }]),
      sidOf('1', [entry, { ...entry, clientId: 'b' }]),
    ].map(base64);
    expect(new Set(sids).size).toBe(sids.length);
  });
});
