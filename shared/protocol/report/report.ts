import type { VerifyReport } from '../../ledger/verify.ts';
import { type Placed, type RunAccount, type ScopeAccount, scopeAccounts, unprotectedRuns } from './account.ts';
import type { Organisation } from './organisation.ts';
import { NOT_COVERED, pyramid } from './pyramid.ts';
import { article30, ccpaNotes, type Fact } from './records.ts';
import { impactAssessment, rightsNotes } from './rights.ts';

/** What a compliance officer files: each statement names the entries that it comes from, and all of it one checkpoint. */
export interface LedgerReport {
  readonly format: 'tacit-ledger-report/1';
  readonly madeAt: string;
  readonly ledger: Pick<
    VerifyReport,
    'verdict' | 'origin' | 'size' | 'root' | 'logKey' | 'failures' | 'unchecked' | 'notes' | 'witnesses'
  >;
  readonly scopes: readonly (ScopeAccount & {
    readonly article30: readonly Fact[];
    /** What a site or a person may ask. */
    readonly rights: readonly Fact[];
    /** For GDPR Art. 35(7). */
    readonly impactAssessment: readonly Fact[];
    readonly ccpa: readonly Fact[];
    readonly pyramids: readonly { readonly run: string; readonly layers: readonly Fact[] }[];
  })[];
  /** Runs that promise no privacy. */
  readonly unprotected: readonly RunAccount[];
  readonly notCovered: readonly string[];
}

/** @param verified - of the same entries @param madeAt - ISO time */
export function ledgerReport(
  verified: VerifyReport,
  entries: readonly Placed[],
  about: Organisation,
  madeAt: string,
): LedgerReport {
  const { verdict, origin, size, root, logKey, failures, unchecked, notes, witnesses } = verified;
  return {
    format: 'tacit-ledger-report/1',
    madeAt,
    ledger: { verdict, origin, size, root, logKey, failures, unchecked, notes, witnesses },
    scopes: scopeAccounts(entries, verified.budgets, verified.runs).map((scope) => ({
      ...scope,
      article30: article30(scope, entries, about),
      rights: rightsNotes(scope),
      impactAssessment: impactAssessment(scope, about),
      ccpa: ccpaNotes(scope),
      pyramids: scope.runs.map((run) => ({ run: run.run, layers: pyramid(run) })),
    })),
    unprotected: unprotectedRuns(entries, verified.runs),
    notCovered: NOT_COVERED,
  };
}
