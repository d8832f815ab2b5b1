import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { BudgetBoard } from '../../../../coordinator/budgets/budget-board.ts';
import { type Approval, approve, approveChange } from '../../../../coordinator/budgets/budget-opening.ts';
import { PolicyDesk } from '../../../../coordinator/budgets/policy-desk.ts';
import { base64 } from '../../../../shared/core/bytes.ts';
import { canonicalBytes } from '../../../../shared/core/canonical.ts';
import { sha256Hex } from '../../../../shared/core/hash.ts';
import { signerFromSeed } from '../../../../shared/core/signing.ts';
import type { ApproverChange, BudgetOpening } from '../../../../shared/ledger/entries.ts';
import { EventLog } from '../../../../shared/store/log.ts';
import { type Fixture, OPERATOR, startFixture } from './fixture.ts';

const clock = { now: () => Date.parse('2026-01-01T00:00:00Z') };
const [officer, head, stranger] = [1, 2, 3].map((n) => signerFromSeed(new Uint8Array(32).fill(n))) as [
  ReturnType<typeof signerFromSeed>,
  ReturnType<typeof signerFromSeed>,
  ReturnType<typeof signerFromSeed>,
];
const IN_OFFICE = [
  { name: 'Officer', publicKey: base64(officer.publicKey) },
  { name: 'Head', publicKey: base64(head.publicKey) },
];
const OPENING: BudgetOpening = {
  budget: { scope: 'mail', unit: 'record', period: '2026' },
  epsilon: '4',
  delta: '0.0001',
  revision: 0,
  purpose: 'find spam',
  legalBasis: 'consent',
};
const ID = sha256Hex(canonicalBytes(OPENING));

let f: Fixture;
beforeEach(async () => {
  f = await startFixture();
});
afterEach(() => f.stop());

interface Answer {
  readonly status: number;
  readonly body: { error?: { code: string; fix: string } } & Record<string, unknown>;
}

async function ask(path: string, body?: unknown, token: string | null = OPERATOR, method = 'POST'): Promise<Answer> {
  const response = await fetch(`${f.url}/api/v1/${path}`, {
    ...(body === undefined ? {} : { method, body: JSON.stringify(body) }),
    headers: { 'content-type': 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) };
}

const propose = (opening: object = OPENING, token: string | null = OPERATOR) =>
  ask('budgets/proposals', opening, token);
/** Without the operator's token: the signature alone counts. */
const sign = (approval: Approval, token: string | null = null) =>
  ask(`budgets/proposals/${ID}/approvals`, approval, token);
const named = (change: ApproverChange = { approvers: IN_OFFICE, revision: 0 }, approvals: Approval[] = []) =>
  ask('approvers', { change, approvals });
const kinds = async () => (await f.ledger.entries(0)).map(({ entry }) => entry.kind);

describe('openings that wait for signatures', () => {
  it('two different approvers in office open it, without any token; anyone may watch', async () => {
    expect((await named()).status).toBe(201);
    expect(await propose()).toMatchObject({ status: 201, body: { id: ID, state: 'waiting', needed: 2 } });
    expect(await sign(approve(OPENING, 'Somebody', officer))).toMatchObject({
      status: 201,
      body: { state: 'waiting' },
    });
    const watched = await ask('budgets/proposals', undefined, null);
    // The name is the roster's, not what the file says.
    expect(watched.body).toMatchObject({
      approvers: IN_OFFICE,
      revision: 1,
      proposals: [{ id: ID, document: OPENING, approvals: [{ approver: 'Officer', counts: true }], ledgerIndex: null }],
    });
    expect(await kinds()).toEqual(['roster.update']);
    expect(await sign(approve(OPENING, 'Head', head))).toMatchObject({
      status: 201,
      body: { state: 'accepted', ledgerIndex: 1 },
    });
    expect(await kinds()).toEqual(['roster.update', 'budget.open']);
  });

  it.each<[string, () => Approval, number, string]>([
    ['of another document', () => approve({ ...OPENING, epsilon: '5' }, 'Head', head), 422, 'APPROVAL_INVALID'],
    [
      'of another key under an approver’s name and key',
      () => ({ ...approve(OPENING, 'Head', stranger), publicKey: base64(head.publicKey) }),
      422,
      'APPROVAL_INVALID',
    ],
    ['by the same person again', () => approve(OPENING, 'Officer again', officer), 409, 'APPROVAL_DUPLICATE'],
    ['by one who is not in office', () => approve(OPENING, 'Head', stranger), 403, 'APPROVER_NOT_IN_OFFICE'],
    ['that is none', () => ({ approver: 'Head', publicKey: 'no', signature: 'no' }), 400, 'REQUEST_INVALID'],
  ])('a signature %s changes nothing', async (_name, made, status, code) => {
    await named();
    await propose();
    await sign(approve(OPENING, 'Officer', officer));
    const answer = await sign(made());
    expect(answer).toMatchObject({ status, body: { error: { code } } });
    expect(answer.body.error?.fix).toBeTruthy();
    const { body } = await ask('budgets/proposals', undefined);
    expect(body).toMatchObject({ proposals: [{ state: 'waiting', approvals: [{ approver: 'Officer' }] }] });
    expect(await kinds()).toEqual(['roster.update']);
  });

  it('while nobody is in office, strangers’ keys open nothing without the operator', async () => {
    await propose();
    expect(await sign(approve(OPENING, 'A', stranger))).toMatchObject({
      status: 401,
      body: { error: { code: 'NOT_AUTHORISED' } },
    });
    expect((await sign(approve(OPENING, 'A', stranger), OPERATOR)).status).toBe(201);
    expect(await sign(approve(OPENING, 'B', officer), OPERATOR)).toMatchObject({ body: { state: 'accepted' } });
  });

  it('a signature stops counting when its signer leaves office', async () => {
    await named();
    await propose();
    await sign(approve(OPENING, 'Officer', officer));
    const change = {
      approvers: [{ name: 'New', publicKey: base64(stranger.publicKey) }, ...IN_OFFICE.slice(1)],
      revision: 1,
    };
    expect(await named(change)).toMatchObject({ status: 422, body: { error: { code: 'BUDGET_UNAPPROVED' } } });
    const approvals = [approveChange(change, 'Officer', officer), approveChange(change, 'Head', head)];
    expect((await named(change, approvals)).status).toBe(201);
    expect(await named(change, approvals)).toMatchObject({ status: 201 });
    expect(await named({ ...change, approvers: [] }, approvals)).toMatchObject({
      status: 409,
      body: { error: { code: 'BUDGET_STATE' } },
    });
    expect(await sign(approve(OPENING, 'Head', head))).toMatchObject({ body: { state: 'waiting' } });
    expect(await sign(approve(OPENING, 'New', stranger))).toMatchObject({ body: { state: 'accepted' } });
  });

  it('needs the operator to propose and to withdraw, refuses what could never open, and ends with the budget', async () => {
    await named();
    expect((await propose(OPENING, null)).status).toBe(401);
    const { revision: _, ...unnumbered } = OPENING;
    expect(await propose(unnumbered)).toMatchObject({ body: { id: ID, document: { revision: 0 } } });
    expect(await propose()).toMatchObject({ body: { id: ID } });
    expect(await propose({ ...OPENING, revision: 7 })).toMatchObject({ body: { error: { code: 'BUDGET_STATE' } } });
    const other = await propose({ ...OPENING, epsilon: '9' });
    expect((await ask(`budgets/proposals/${String(other.body['id'])}`, {}, null, 'DELETE')).status).toBe(401);
    expect((await ask(`budgets/proposals/${'0'.repeat(64)}`, {}, OPERATOR, 'DELETE')).status).toBe(404);
    const third = await propose({ ...OPENING, epsilon: '8' });
    expect((await ask(`budgets/proposals/${String(third.body['id'])}`, {}, OPERATOR, 'DELETE')).status).toBe(204);
    for (const [name, signer] of [
      ['Officer', officer],
      ['Head', head],
    ] as const)
      await sign(approve(OPENING, name, signer));
    const states = ((await ask('budgets/proposals')).body['proposals'] as { state: string }[]).map((p) => p.state);
    expect(states).toEqual(['outdated', 'accepted']);
    expect(await sign(approve(OPENING, 'Officer', officer))).toMatchObject({
      body: { error: { code: 'BUDGET_STATE' } },
    });
    expect(await propose({ ...OPENING, epsilon: '3', revision: 1 })).toMatchObject({ status: 409 });
  });

  it('opens at the next start what was signed in full when the process ended', async () => {
    await named();
    const { log } = await EventLog.open(f.store, 'policy', z.unknown());
    await log.append({ kind: 'propose', id: ID, at: '2026-01-01T00:00:00.000Z', opening: OPENING });
    await log.append({ kind: 'approve', id: ID, approval: approve(OPENING, 'Officer', officer) });
    await log.append({ kind: 'approve', id: ID, approval: approve(OPENING, 'Head', head) });
    const desk = new PolicyDesk(f.store, f.ledger, new BudgetBoard(f.ledger, () => []), clock);
    await desk.resume();
    expect(await desk.view()).toMatchObject({ proposals: [{ state: 'accepted', ledgerIndex: 1 }] });
  });

  it('after thirty days a proposal takes no signature; proposed again it starts without any', async () => {
    await named();
    let now = Date.parse('2026-01-01T00:00:00Z');
    const desk = new PolicyDesk(f.store, f.ledger, new BudgetBoard(f.ledger, () => []), { now: () => now });
    await desk.propose(OPENING);
    await desk.approve(ID, approve(OPENING, 'Officer', officer));
    now += 30 * 86_400_000 - 1;
    expect(await desk.view()).toMatchObject({ proposals: [{ state: 'waiting' }] });
    now += 1;
    expect(await desk.view()).toMatchObject({ proposals: [{ state: 'expired' }] });
    await expect(desk.approve(ID, approve(OPENING, 'Head', head))).rejects.toMatchObject({ code: 'PROPOSAL_EXPIRED' });
    expect(await kinds()).toEqual(['roster.update']);
    expect(await desk.propose(OPENING)).toMatchObject({ state: 'waiting', approvals: [] });
    await desk.approve(ID, approve(OPENING, 'Head', head));
    expect(await desk.approve(ID, approve(OPENING, 'Officer', officer))).toMatchObject({ state: 'accepted' });
  });

  it.each([
    ['no JSON', '{"kind":"pro'],
    ['no kind', JSON.stringify({ kind: 'reset' })],
    [
      'an opening without its budget',
      JSON.stringify({ kind: 'propose', id: ID, at: '2026-01-01T00:00:00Z', opening: {} }),
    ],
    ['a signature that is none', JSON.stringify({ kind: 'approve', id: ID, approval: { approver: 'Head' } })],
  ])('a stored event that is %s is named and nothing is made of it', async (_name, text) => {
    const { log } = await EventLog.open(f.store, 'policy', z.unknown());
    await log.append({ kind: 'propose', id: ID, at: '2026-01-01T00:00:00.000Z', opening: OPENING });
    await f.store.append('policy', 1, { opId: '1', text });
    const desk = new PolicyDesk(f.store, f.ledger, new BudgetBoard(f.ledger, () => []), clock);
    await expect(desk.resume()).rejects.toMatchObject({ code: 'STORE_CORRUPT', where: 'stream policy, event 1' });
  });
});

describe('changes of the approvers that wait for signatures', () => {
  const third = { name: 'Third', publicKey: base64(stranger.publicKey) };
  const change: ApproverChange = { approvers: [...IN_OFFICE, third], revision: 1 };
  const changeId = sha256Hex(canonicalBytes(change));
  const proposeChange = (body: object = change, token: string | null = OPERATOR) =>
    ask('approvers/proposals', body, token);
  const signChange = (approval: Approval) => ask(`budgets/proposals/${changeId}/approvals`, approval, null);

  it('the first list is the operator’s and in force at once', async () => {
    expect((await proposeChange({ approvers: IN_OFFICE }, null)).status).toBe(401);
    expect(await proposeChange({ approvers: IN_OFFICE })).toMatchObject({
      status: 201,
      body: { kind: 'approvers', state: 'accepted', needed: 0, ledgerIndex: 0 },
    });
    expect(await kinds()).toEqual(['roster.update']);
  });

  it('two in office put the new list in force, and only with signatures of this kind and this list', async () => {
    await named();
    expect(await proposeChange()).toMatchObject({ body: { id: changeId, state: 'waiting', needed: 2 } });
    const officers = approveChange(change, 'Officer', officer);
    expect(await signChange(approveChange({ ...change, revision: 2 }, 'Officer', officer))).toMatchObject({
      body: { error: { code: 'APPROVAL_INVALID' } },
    });
    const asOpening = approve(change as unknown as BudgetOpening, 'Officer', officer);
    expect(await signChange(asOpening)).toMatchObject({ body: { error: { code: 'APPROVAL_INVALID' } } });
    expect(await signChange(approveChange(change, 'Third', stranger))).toMatchObject({
      body: { error: { code: 'APPROVER_NOT_IN_OFFICE' } },
    });
    expect(await signChange(officers)).toMatchObject({ body: { state: 'waiting' } });
    expect(await signChange(officers)).toMatchObject({ body: { error: { code: 'APPROVAL_DUPLICATE' } } });
    expect(await signChange(approveChange(change, 'Head', head))).toMatchObject({
      body: { state: 'accepted', ledgerIndex: 1 },
    });
    expect((await ask('budgets/proposals', undefined)).body).toMatchObject({
      approvers: change.approvers,
      revision: 2,
    });
  });

  it('refuses the list that is in office, and one for another state', async () => {
    await named();
    for (const body of [{ approvers: IN_OFFICE }, { ...change, revision: 0 }, { approvers: [third, third] }])
      expect(await proposeChange(body)).toMatchObject({ status: 409, body: { error: { code: 'BUDGET_STATE' } } });
  });

  it('ends when the list is changed otherwise', async () => {
    await named();
    await proposeChange();
    const other = { approvers: [...IN_OFFICE].reverse(), revision: 1 };
    await named(other, [approveChange(other, 'Officer', officer), approveChange(other, 'Head', head)]);
    expect(await signChange(approveChange(change, 'Head', head))).toMatchObject({
      body: { error: { code: 'BUDGET_STATE' } },
    });
    expect((await ask('budgets/proposals', undefined)).body).toMatchObject({ proposals: [{ state: 'outdated' }] });
  });
});
