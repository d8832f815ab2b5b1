import { describe, expect, it } from 'vitest';
import { rotateApprover } from '../../../coordinator/budgets/approvers.ts';
import { base64, hex } from '../../../shared/core/bytes.ts';
import { BudgetBook } from '../../../shared/ledger/budget-book.ts';
import { exportBundle } from '../../../shared/ledger/bundle.ts';
import { clientLogName } from '../../../shared/ledger/client-name.ts';
import type { Entry, EntryInput } from '../../../shared/ledger/entries.ts';
import { type Handover, handOver, handoverOperation, KeyHistory } from '../../../shared/ledger/key-chain.ts';
import { formatVkey } from '../../../shared/ledger/keys.ts';
import type { Ledger } from '../../../shared/ledger/log.ts';
import { signStatement } from '../../../shared/ledger/statement.ts';
import { verifyBundle } from '../../../shared/ledger/verify.ts';
import { EntryVerifier } from '../../../shared/ledger/verify-entries.ts';
import { witnessCheckpoint, witnessKey } from '../../../shared/ledger/witness.ts';
import { opening, testPlanHash, testSigner, tickingClock } from '../../support/ledger.ts';
import { clients, origin, runLedger } from '../../support/run-ledger.ts';

const [dpo, dpo2, dpo3, stranger] = ['dpo', 'dpo 2', 'dpo 3', 'stranger'].map(testSigner) as [
  ReturnType<typeof testSigner>,
  ReturnType<typeof testSigner>,
  ReturnType<typeof testSigner>,
  ReturnType<typeof testSigner>,
];
const ofDpo = { role: 'approver', name: 'dpo', origin, reason: 'new laptop' } as const;
const client = clients[0] as string;
const ofClient = { role: 'log', name: clientLogName(client), reason: 'yearly' } as const;
const key = (signer: { publicKey: Uint8Array }): string => base64(signer.publicKey);

/** What an auditor finds in entries that a hostile coordinator put into a log without its own rules. */
async function found(ledger: Ledger, ...more: EntryInput[]): Promise<{ code: string; index: number | null }[]> {
  const verifier = new EntryVerifier({
    origin,
    files: new Map(),
    authority: 'two-person',
    recompute: undefined,
    leafHash: (index) => ledger.leafHash(index),
  });
  let index = 0;
  for (const { entry } of await ledger.entries(0)) await verifier.take(index++, entry);
  for (const entry of more)
    await verifier.take(index++, { ...entry, version: 1, at: '2026-03-01T10:00:00.000Z' } as Entry);
  return verifier.finish().failures.map((f) => ({ code: f.code, index: f.index }));
}

async function verified(ledger: Ledger, vkeys: readonly string[] = [ledger.vkey]) {
  await ledger.checkpoint();
  return verifyBundle(await exportBundle(ledger, { vkey: ledger.vkey }), { vkeys });
}

describe('an approver changes the key', () => {
  it('with both signatures; from there on only the new one approves, and what was signed before does not count', async () => {
    const { ledger } = await runLedger();
    await rotateApprover(ledger, handOver(ofDpo, dpo, dpo2));
    const book = new BudgetBook(ledger);
    const state = await book.state();
    expect(state.approvers[0]).toEqual({ name: 'dpo', publicKey: key(dpo2) });
    expect(state.approverRevision).toBe(2);
    const raise = opening('5', { revision: 1 });
    await expect(book.open(raise)).rejects.toMatchObject({ code: 'BUDGET_UNAPPROVED' });
    const approvals = raise.approvals.map((a) =>
      a.approver === 'dpo'
        ? { ...a, publicKey: key(dpo2), signature: signStatement('budget.open', raise.opening, dpo2) }
        : a,
    );
    await book.open({ ...raise, approvals });
    expect(await verified(ledger)).toMatchObject({ verdict: 'verified', failures: [] });
  });

  it('said twice it happens once, with whatever reason', async () => {
    const { ledger } = await runLedger();
    const { index } = await rotateApprover(ledger, handOver(ofDpo, dpo, dpo2));
    expect(await rotateApprover(ledger, handOver({ ...ofDpo, reason: 'again' }, dpo, dpo2))).toEqual({ index });
    expect(ledger.size).toBe(index + 1);
  });

  const forged = (): Handover => {
    const own = handOver(ofDpo, stranger, dpo2);
    return { ...own, change: { ...own.change, oldPublicKey: key(dpo) } };
  };
  it.each<[string, () => Handover, string, string]>([
    [
      'of a stranger who signs for themself',
      () => handOver({ ...ofDpo, name: 'stranger' }, stranger, dpo2),
      'BUDGET_STATE',
      'BUDGET_STATE',
    ],
    ['of a stranger under the approver’s name', () => handOver(ofDpo, stranger, dpo2), 'BUDGET_STATE', 'BUDGET_STATE'],
    ['with the old key named but not its signature', forged, 'BUDGET_UNAPPROVED', 'SIGNATURE_WRONG'],
    [
      'that the new key did not accept',
      () => ({ ...handOver(ofDpo, dpo, dpo2), acceptance: handOver(ofDpo, dpo, stranger).acceptance }),
      'BUDGET_UNAPPROVED',
      'SIGNATURE_WRONG',
    ],
    [
      'for another log',
      () => handOver({ ...ofDpo, origin: 'other.test/ledger' }, dpo, dpo2),
      'LEDGER_KEY_UNKNOWN',
      'KEY_CHAIN',
    ],
    [
      'for no log',
      () => handOver({ role: 'approver', name: 'dpo', reason: 'x' }, dpo, dpo2),
      'LEDGER_KEY_UNKNOWN',
      'KEY_CHAIN',
    ],
    [
      'to the key of the other approver',
      () => handOver(ofDpo, dpo, testSigner('operator')),
      'BUDGET_STATE',
      'BUDGET_STATE',
    ],
    ['under another’s name', () => handOver({ ...ofDpo, name: 'operator' }, dpo, dpo2), 'BUDGET_STATE', 'BUDGET_STATE'],
  ])('a change %s is refused, and named by verify', async (_name, made, refusal, finding) => {
    const { ledger } = await runLedger();
    const before = ledger.size;
    await expect(rotateApprover(ledger, made())).rejects.toMatchObject({ code: refusal });
    expect(ledger.size).toBe(before);
    expect(await found(ledger, { kind: 'key.rotate', ...made() })).toContainEqual({ code: finding, index: before });
  });

  it('replayed or out of order it is refused: a key that was given up never comes back', async () => {
    const { ledger } = await runLedger();
    const [there, back] = [handOver(ofDpo, dpo, dpo2), handOver(ofDpo, dpo2, dpo)];
    await expect(rotateApprover(ledger, handOver(ofDpo, dpo2, dpo3))).rejects.toMatchObject({ code: 'BUDGET_STATE' });
    await rotateApprover(ledger, there);
    await expect(rotateApprover(ledger, back)).rejects.toMatchObject({ code: 'LEDGER_KEY_UNKNOWN' });
    await expect(rotateApprover(ledger, handOver(ofDpo, dpo, dpo3))).rejects.toMatchObject({ code: 'BUDGET_STATE' });
    const size = ledger.size;
    const replay: EntryInput = { kind: 'key.rotate', ...there };
    expect(await found(ledger, replay)).toContainEqual({ code: 'KEY_CHAIN', index: size });
    expect(await found(ledger, { kind: 'key.rotate', ...back }, replay)).toContainEqual({
      code: 'KEY_CHAIN',
      index: size,
    });
  });
});

describe('a client changes the key', () => {
  const signer = testSigner(client);
  const [second, third] = [testSigner('client 2'), testSigner('client 3')];
  const consentOf = (by: typeof signer): EntryInput<'consent'> => {
    const document = { run: 'r1', planHash: testPlanHash, at: '2026-03-01T09:00:00Z' };
    const signature = signStatement('consent', document, by);
    return {
      kind: 'consent',
      run: 'r1',
      planHash: testPlanHash,
      clientId: client,
      publicKey: key(by),
      document,
      signature,
    };
  };
  const rotated = async (): Promise<Ledger> => {
    const { ledger } = await runLedger();
    const handover = handOver(ofClient, signer, second);
    await ledger.append({ kind: 'key.rotate', ...handover }, handoverOperation(handover));
    return ledger;
  };

  it('statements and cosignatures count under the new key; an auditor who knows the first one follows', async () => {
    const ledger = await rotated();
    expect((await found(ledger, consentOf(second))).map((f) => f.code)).not.toContain('KEY_UNKNOWN');
    const name = clientLogName(client);
    const { line, key: own } = witnessCheckpoint({
      lastSeen: undefined,
      checkpoint: await ledger.checkpoint(),
      proof: [],
      logKey: ledger.key,
      name,
      signer: second,
      clock: tickingClock(),
    });
    await ledger.cosign({ checkpointSize: ledger.size, line, vkey: formatVkey(own) });
    const report = await verified(ledger, [ledger.vkey, formatVkey(witnessKey(name, signer.publicKey))]);
    expect(report).toMatchObject({ verdict: 'verified', failures: [] });
    expect(report.witnesses).toMatchObject([{ name, established: true }]);
    expect(report.notes.join()).toContain(`log ${name} has a new key: yearly`);
    const other = formatVkey(witnessKey(name, stranger.publicKey));
    expect((await verified(ledger, [ledger.vkey, other])).witnesses).toMatchObject([{ established: false }]);
  });

  it('what the old key signs afterwards is a failure, and what a key signs before it has the seat', async () => {
    const ledger = await rotated();
    const size = ledger.size;
    expect(await found(ledger, consentOf(signer))).toContainEqual({ code: 'KEY_RETIRED', index: size });
    expect(await found(ledger, consentOf(third))).toContainEqual({ code: 'KEY_UNKNOWN', index: size });
  });

  it.each<[string, () => Handover, string]>([
    ['by a stranger', () => handOver(ofClient, stranger, third), 'KEY_CHAIN'],
    ['by the key that was given up', () => handOver(ofClient, signer, third), 'KEY_CHAIN'],
    ['replayed', () => handOver(ofClient, signer, second), 'KEY_CHAIN'],
    ['back to the first key', () => handOver(ofClient, second, signer), 'KEY_CHAIN'],
    [
      'without the acceptance',
      () => ({ ...handOver(ofClient, second, third), acceptance: handOver(ofClient, second, stranger).acceptance }),
      'SIGNATURE_WRONG',
    ],
  ])('a change %s is refused by the log and named by verify', async (_name, made, code) => {
    const ledger = await rotated();
    await expect(ledger.append({ kind: 'key.rotate', ...made() }, 'other')).rejects.toMatchObject({
      code: 'LEDGER_KEY_UNKNOWN',
    });
    expect(await found(ledger, { kind: 'key.rotate', ...made() })).toContainEqual({ code, index: ledger.size });
  });

  it('a first change by a key that no roster gives the client is named', async () => {
    const { ledger } = await runLedger();
    const made: EntryInput = { kind: 'key.rotate', ...handOver(ofClient, stranger, third) };
    expect(await found(ledger, made)).toContainEqual({ code: 'KEY_UNKNOWN', index: ledger.size });
  });

  it('a lost key is ended by the coordinator’s word, which verify points out', async () => {
    const { ledger } = await runLedger();
    const revoke: EntryInput<'key.revoke'> = {
      kind: 'key.revoke',
      clientId: client,
      publicKey: key(signer),
      invitation: 'a'.repeat(64),
      run: 'r1',
      organisation: client,
      reason: 'disk broke',
    };
    expect(await found(ledger, revoke)).toEqual(await found(ledger));
    expect(await found(ledger, revoke, consentOf(signer))).toContainEqual({
      code: 'KEY_RETIRED',
      index: ledger.size + 1,
    });
    await ledger.append(revoke, 'revoke');
    expect((await verified(ledger)).notes.join()).toContain('by the coordinator’s word alone: disk broke');
  });
});

it('a history follows each log by itself', () => {
  const [a, b] = [testSigner('a'), testSigner('b')];
  const history = new KeyHistory(origin);
  const other = { role: 'log', name: clientLogName('x'), reason: 'r' } as const;
  expect(history.take(0, handOver({ role: 'log', name: origin, reason: 'r' }, a, b))).toBe(true);
  expect(history.take(1, handOver(other, dpo, dpo2))).toBe(true);
  expect(history.take(2, handOver(other, dpo, dpo3))).toBe(false);
  expect(history.take(3, handOver(other, dpo2, dpo3))).toBe(true);
  expect(history.handovers).toHaveLength(1);
  const [followed] = history.followed([witnessKey(other.name, dpo.publicKey)]);
  expect(hex(followed?.publicKey as Uint8Array)).toBe(hex(dpo3.publicKey));
});
