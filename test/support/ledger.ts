import { base64, utf8 } from '../../shared/core/bytes.ts';
import { canonicalBytes } from '../../shared/core/canonical.ts';
import type { Clock } from '../../shared/core/clock.ts';
import { sha256, sha256Hex } from '../../shared/core/hash.ts';
import { type Signer, signerFromSeed } from '../../shared/core/signing.ts';
import type { BudgetKey, BudgetOpening, EntryInput } from '../../shared/ledger/entries.ts';
import { signStatement } from '../../shared/ledger/statement.ts';

/** The same key for the same name, in every test. */
export function testSigner(name: string): Signer {
  return signerFromSeed(sha256(utf8(`test key of ${name}`)));
}

/** A clock that moves one second with every reading. */
export function tickingClock(start = Date.parse('2026-03-01T09:00:00.000Z')): Clock {
  let now = start;
  return {
    now() {
      now += 1000;
      return now;
    },
  };
}

export const incident = (n: number): EntryInput<'incident'> => ({
  kind: 'incident',
  code: 'TEST',
  what: `number ${n}`,
  detail: { n },
});

export const mailBudget: BudgetKey = { scope: 'hospital-a/notes', unit: 'record', period: '2026' };

/** A budget opening with approvals by the named people. */
export function opening(
  epsilon: string,
  options: {
    readonly revision?: number;
    readonly approvers?: readonly string[];
    readonly budget?: BudgetKey;
    readonly delta?: string;
  } = {},
): EntryInput<'budget.open'> {
  const document: BudgetOpening = {
    budget: options.budget ?? mailBudget,
    epsilon,
    delta: options.delta ?? '0.00001',
    revision: options.revision ?? 0,
    purpose: 'triage of mail',
    legalBasis: 'GDPR Art. 9(2)(i)',
  };
  const approvals = (options.approvers ?? ['dpo', 'operator']).map((approver) => {
    const signer = testSigner(approver);
    return { approver, publicKey: base64(signer.publicKey), signature: signStatement('budget.open', document, signer) };
  });
  return { kind: 'budget.open', opening: document, authority: 'two-person', approvals };
}

export const testPlan = { name: 'test', labels: ['ham', 'spam'] };
export const testPlanHash = sha256Hex(canonicalBytes(testPlan));
const hash = (what: string): string => sha256Hex(utf8(what));

export function planCommit(run: string, epsilon = '1', rounds = 3): EntryInput<'plan.commit'> {
  return {
    kind: 'plan.commit',
    run,
    planHash: testPlanHash,
    plan: testPlan,
    purpose: 'find spam',
    unit: 'record',
    neighbouringRelation: 'add or remove one record',
    certificate: {
      epsilon,
      delta: '0.000001',
      accountant: 'PLD',
      adversary: 'coordinator and 1 client',
      assumptions: ['4 of 5 clients add their noise'],
    },
    minimumCohort: 5,
    colluders: 1,
    stages: [
      {
        index: 0,
        algorithm: 'dp-fedsgd',
        samplingProbability: '0.05',
        rounds,
        l2Clip: '1',
        noiseMultiplier: '2',
        mechanism: {
          name: 'distributed-discrete-gaussian',
          dimension: 100,
          scale: '65536',
          localSigma: '70000',
          ringBits: 32,
          cohortMax: 10,
        },
      },
    ],
    budgets: [mailBudget],
    modelHash: hash('model 0'),
    library: 'tacit 0.1.0',
  };
}

export function release(run: string, round: number, reservation: string | null): EntryInput<'round.release'> {
  return {
    kind: 'round.release',
    run,
    round,
    stage: 0,
    attempt: 1,
    reservation,
    sid: hash(`sid ${round}`),
    survivors: 5,
    survivorsHash: hash('survivors'),
    rosterHash: hash('roster'),
    aggregateHash: hash(`aggregate ${round}`),
    previousModelHash: hash(`model ${round - 1}`),
    modelHash: hash(`model ${round}`),
    epsilonSoFar: null,
  };
}
