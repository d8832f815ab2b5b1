import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createMemoryStore } from '../../shared/store/memory.ts';
import { startTestCoordinator, type TestCoordinator } from '../support/federation.ts';
import { type Case, type CaseResult, runCases } from './secagg/case.ts';
import { CLIENT_CASES, type ClientCase } from './secagg/client-cases.ts';
import { ClientLab } from './secagg/client-lab.ts';
import { HELLO_CASES } from './secagg/hello-cases.ts';
import { Seat } from './secagg/seat.ts';
import { SERVER_CASES } from './secagg/server-cases.ts';
import { conformancePlan, ServerLab } from './secagg/server-lab.ts';

/**
 * The testers of PROTOCOL.md against our own coordinator and client, and against the same with a check switched off, which
 * they must find. A part of the cases; `npm run conformance:secagg -- self` runs all.
 */
const seam = vi.hoisted(() => ({ off: new Set<string>() }));
vi.mock('../../shared/secagg/client-checks.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
vi.mock('../../shared/secagg/server-checks.ts', async (original) => {
  const { switchable } = await import('../support/switchable.ts');
  return switchable(await original<object>(), seam.off);
});
afterEach(() => seam.off.clear());

const timeoutMs = 120_000;
const named = <C extends { readonly name: string }>(cases: readonly C[], name: string): C =>
  cases.find((one) => one.name === name) as C;

async function resultOf<Lab>(one: Case<Lab>, lab: Lab): Promise<CaseResult> {
  for await (const result of runCases([one], lab)) return result;
  throw new Error('no result');
}

test('every case has a name of its own, and there are enough of them', () => {
  const names = [...HELLO_CASES, ...SERVER_CASES, ...CLIENT_CASES].map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThan(60);
});

describe('the server tester', () => {
  let site: TestCoordinator;
  let lab: ServerLab;
  beforeAll(async () => {
    site = await startTestCoordinator({ store: createMemoryStore() });
    lab = new ServerLab({ url: site.url, operatorToken: 'operator', plan: conformancePlan(), timeoutMs });
  });
  afterAll(() => site.close());

  test.each([
    ...HELLO_CASES.map(({ name }) => name),
    'server/honest',
    'server/vanish-before-unmask',
    'server/too-few-left',
    'server/low-order-key',
    'server/wrong-surplus-share',
    'server/lying-dealer',
    'server/chunk-checksum',
  ])('our coordinator passes %s', async (name) => {
    const result = await resultOf(named([...HELLO_CASES, ...SERVER_CASES], name), lab);
    expect(result.got).toBe(result.expected);
  });

  test.each([
    ['server/wrong-share', 'checkShare'],
    ['server/low-order-key', 'checkKeys'],
    ['server/other-survivors', 'checkSigned'],
  ])('%s finds a coordinator without %s', async (name, check) => {
    seam.off.add(check);
    expect(await resultOf(named(SERVER_CASES, name), lab)).toMatchObject({ passed: false });
  });
});

describe('the client tester', () => {
  let seat: Seat;
  let lab: ClientLab;
  beforeAll(async () => {
    lab = await ClientLab.start({
      patienceMs: 20_000,
      timeoutMs,
      client: async (link) => {
        seat = new Seat(5);
        seat.join(link);
        return seat;
      },
    });
  });
  afterAll(() => lab.close());

  /** Codes that the client told its own site. */
  const codes = (): string[] =>
    seat.events.flatMap((event) => {
      if (event.kind === 'failed') return [event.code];
      return event.kind === 'roundEnded' && event.reason !== null ? [event.reason.split(':')[0] as string] : [];
    });

  test.each([
    'client/honest',
    'client/config-threshold',
    'client/config-session-again',
    'client/keys-impersonation',
    'client/inbox-bad-box',
    'client/survivors-own-entry',
    'client/survivors-second-set',
    'client/signatures-split-view',
    'client/both-secrets',
  ])('our client passes %s, and says why it left', async (name) => {
    const one: ClientCase = named(CLIENT_CASES, name);
    const result = await resultOf(one, lab);
    expect(result.got).toBe(result.expected);
    if (one.code !== undefined) expect(codes()).toContain(one.code);
  });

  test.each([
    ['client/signatures-split-view', 'checkSignatures'],
    ['client/survivors-second-set', 'checkFirst'],
    ['client/config-threshold', 'checkParameters'],
  ])('%s finds a client without %s', async (name, check) => {
    seam.off.add(check);
    expect(await resultOf(named(CLIENT_CASES, name), lab)).toMatchObject({ passed: false });
  });
});
