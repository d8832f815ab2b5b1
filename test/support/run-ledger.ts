import { base64, fromBase64, hex } from '../../shared/core/bytes.ts';
import { BudgetBook } from '../../shared/ledger/budget-book.ts';
import { type RosterMember, rosterHash } from '../../shared/ledger/entries.ts';
import { formatVkey } from '../../shared/ledger/keys.ts';
import { type Ledger, openLedger } from '../../shared/ledger/log.ts';
import { signStatement } from '../../shared/ledger/statement.ts';
import { witnessCheckpoint } from '../../shared/ledger/witness.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import type { Store } from '../../shared/store/port.ts';
import { mailBudget, opening, planCommit, release, testPlanHash, testSigner, tickingClock } from './ledger.ts';

export const clients = ['a', 'b', 'c', 'd', 'e'].map((name) => `clinic-${name}`);
export const origin = 'tacit.test/ledger';

/** A whole run as a coordinator logs it: roster, budget, plan, consents, reservation, three rounds, end; cosigned by two clients. */
export async function runLedger(
  store: Store = createMemoryStore(),
  epsilon = '1',
): Promise<{ store: Store; ledger: Ledger }> {
  const clock = tickingClock();
  const ledger = await openLedger({ store, stream: 'ledger', origin, signer: testSigner('log'), clock });
  const book = new BudgetBook(ledger);
  const members: RosterMember[] = clients.map((c) => ({
    clientId: c,
    organisation: c,
    publicKey: base64(testSigner(c).publicKey),
  }));
  const approvers = ['dpo', 'operator'].map((name) => ({ name, publicKey: base64(testSigner(name).publicKey) }));
  await ledger.append({ kind: 'roster.update', rosterHash: rosterHash(members), members, approvers }, 'roster/1');
  await book.open(opening('3'));
  await ledger.append(planCommit('r1', epsilon), 'plan.commit/r1');
  for (const c of clients) {
    const document = {
      run: 'r1',
      planHash: testPlanHash,
      policyHash: 'f'.repeat(64),
      records: 100,
      at: '2026-03-01T09:00:00Z',
    };
    const signer = testSigner(c);
    await ledger.append(
      {
        kind: 'consent',
        run: 'r1',
        planHash: testPlanHash,
        clientId: c,
        publicKey: base64(signer.publicKey),
        document,
        signature: signStatement('consent', document, signer),
      },
      `consent/r1/${c}`,
    );
  }
  await book.reserve({
    kind: 'reserve',
    reservation: 'res-1',
    run: 'r1',
    planHash: testPlanHash,
    budgets: [mailBudget],
    epsilon,
    delta: '0.000001',
  });
  for (const round of [1, 2, 3]) {
    await book.append({ ...release('r1', round, 'res-1'), rosterHash: rosterHash(members) }, `round/r1/${round}`);
    await cosign(ledger, clients.slice(0, 2));
  }
  await book.close({
    kind: 'plan.close',
    run: 'r1',
    reservation: 'res-1',
    outcome: 'finished',
    reason: null,
    revealed: true,
    epsilon,
    delta: '0.000001',
    roundsReleased: 3,
    modelHash: null,
  });
  const document = { clientId: 'clinic-a', origin, index: 9, leafHash: hex(ledger.leafHash(9)) };
  const signer = testSigner('clinic-a');
  await ledger.append(
    {
      kind: 'countersignature',
      clientId: 'clinic-a',
      publicKey: base64(signer.publicKey),
      document,
      signature: signStatement('countersignature', document, signer),
    },
    'countersignature/9/clinic-a',
  );
  await cosign(ledger, clients.slice(0, 2));
  return { store, ledger };
}

async function cosign(ledger: Ledger, names: readonly string[]): Promise<void> {
  const checkpoint = await ledger.checkpoint();
  for (const name of names) {
    const { line, key, seen } = witnessCheckpoint({
      lastSeen: undefined,
      checkpoint,
      proof: [],
      logKey: ledger.key,
      name: `${name}.test/witness`,
      signer: testSigner(name),
      clock: { now: () => Date.parse('2026-03-01T09:00:00Z') },
    });
    await ledger.cosign({ checkpointSize: seen.size, line, vkey: formatVkey(key) });
  }
}

/** Flips one bit of a base64 text without leaving its alphabet. */
export function flipped(text: string): string {
  const bytes = fromBase64(text);
  bytes[10] = (bytes[10] as number) ^ 1;
  return base64(bytes);
}
