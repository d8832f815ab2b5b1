import { describe, expect, it } from 'vitest';
import { base64, utf8 } from '../../../shared/core/bytes.ts';
import type { Signer } from '../../../shared/core/signing.ts';
import { exportBundle } from '../../../shared/ledger/bundle.ts';
import { peekCheckpoint } from '../../../shared/ledger/checkpoint.ts';
import { handOver } from '../../../shared/ledger/key-chain.ts';
import { parseVkey } from '../../../shared/ledger/keys.ts';
import { type Ledger, openLedger } from '../../../shared/ledger/log.ts';
import { formatNote, signLine } from '../../../shared/ledger/note.ts';
import { verifyBundle } from '../../../shared/ledger/verify.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import type { Store } from '../../../shared/store/port.ts';
import { incident, testSigner, tickingClock } from '../../support/ledger.ts';

const origin = 'tacit.test/ledger';
const [first, second, third] = ['log', 'log 2', 'log 3'].map(testSigner) as [Signer, Signer, Signer];
const open = (store: Store, signer: Signer): Promise<Ledger> =>
  openLedger({ store, stream: 'ledger', origin, signer, clock: tickingClock() });

class Crash extends Error {}

/** A store whose process dies at the n-th append from now on. */
function dyingAt(store: Store, n: number, when: 'before' | 'after'): Store {
  let left = n;
  return {
    ...store,
    async append(...args) {
      left--;
      if (left === 0 && when === 'before') throw new Crash();
      const stored = await store.append(...args);
      if (left === 0) throw new Crash();
      return stored;
    },
  };
}

async function twiceRotated(): Promise<{ ledger: Ledger; vkeys: string[]; old: string }> {
  const store = createMemoryStore();
  const vkeys: string[] = [];
  let ledger = await open(store, first);
  let old = '';
  for (const [i, next] of [second, third].entries()) {
    await ledger.append(incident(i), `op/${i}`);
    if (i === 0) old = await ledger.checkpoint();
    vkeys.push(ledger.vkey);
    await ledger.rotateKey(next, `rotation ${i}`);
    ledger = await open(store, next);
  }
  await ledger.append(incident(9), 'op/9');
  await ledger.checkpoint();
  vkeys.push(ledger.vkey);
  return { ledger, vkeys, old };
}

describe('verify follows the log across its keys', () => {
  it('from the first key, a middle one or the last one, and back to an old checkpoint', async () => {
    const { ledger, vkeys, old } = await twiceRotated();
    const files = await exportBundle(ledger, { vkey: ledger.vkey });
    for (const vkey of vkeys) {
      const report = await verifyBundle(files, { vkeys: [vkey], since: old });
      expect(report).toMatchObject({ verdict: 'verified', size: 5, failures: [] });
    }
    expect((await verifyBundle(files, { vkeys: vkeys.slice(0, 1) })).notes.join()).toContain(
      'has a new key: rotation 1',
    );
  });

  it('another log’s key opens nothing', async () => {
    const { ledger } = await twiceRotated();
    const files = await exportBundle(ledger, { vkey: ledger.vkey });
    const stranger = await open(createMemoryStore(), testSigner('stranger'));
    expect(await verifyBundle(files, { vkeys: [stranger.vkey] })).toMatchObject({ verdict: 'failed' });
  });

  it('a retired key that signs on is named', async () => {
    const { ledger, vkeys } = await twiceRotated();
    const files = await exportBundle(ledger, { vkey: ledger.vkey });
    const { body } = peekCheckpoint(await ledger.checkpoint());
    const retired = parseVkey(vkeys[0] as string);
    files.set('checkpoint', utf8(formatNote(body, [signLine(body, retired, first)])));
    const report = await verifyBundle(files, { vkeys: [vkeys[0] as string] });
    expect(report.failures.map((f) => f.code)).toContain('KEY_RETIRED');
  });
});

describe('a rotation', () => {
  it.each([
    [1, 'before', false],
    [1, 'after', true],
    [2, 'before', true],
    [2, 'after', true],
  ] as const)('dying %s, %s the append, goes on at the next start', async (n, when, rotated) => {
    const store = createMemoryStore();
    const ledger = await open(store, first);
    await ledger.append(incident(1), 'op/1');
    await ledger.checkpoint();
    const dying = await open(dyingAt(store, n, when), first);
    await expect(dying.rotateKey(second, 'yearly')).rejects.toBeInstanceOf(Crash);
    if (rotated) {
      await expect(open(store, first)).rejects.toMatchObject({ code: 'LEDGER_KEY_UNKNOWN' });
    } else {
      const again = await open(store, first);
      await again.rotateKey(second, 'yearly');
    }
    const after = await open(store, second);
    await after.append(incident(2), 'op/2');
    await after.checkpoint();
    expect((await after.entries(0)).filter((r) => r.entry.kind === 'key.rotate')).toHaveLength(1);
    const report = await verifyBundle(await exportBundle(after, { vkey: after.vkey }), { vkeys: [ledger.vkey] });
    expect(report).toMatchObject({ verdict: 'verified', failures: [] });
  });

  it('only the key in force hands over, and only with its signature', async () => {
    const store = createMemoryStore();
    const ledger = await open(store, first);
    await ledger.rotateKey(second, 'yearly');
    await expect(ledger.rotateKey(third, 'again')).rejects.toMatchObject({ code: 'LEDGER_KEY_UNKNOWN' });
    const forged = handOver({ role: 'log', name: origin, reason: 'forged' }, third, first);
    const next = await open(store, second);
    await expect(
      next.append(
        { kind: 'key.rotate', ...forged, change: { ...forged.change, oldPublicKey: base64(second.publicKey) } },
        'forged',
      ),
    ).rejects.toMatchObject({ code: 'LEDGER_KEY_UNKNOWN' });
    expect((await next.entries(0)).filter((r) => r.entry.kind === 'key.rotate')).toHaveLength(1);
  });
});
