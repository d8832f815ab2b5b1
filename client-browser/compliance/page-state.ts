import type { Audit } from './audit.ts';
import type { EntryVerification, VerifyStep } from './verify.ts';

/** The state of the check that runs when the page opens. */
export type Check =
  | { readonly state: 'running'; readonly share: number }
  | { readonly state: 'done'; readonly audit: Audit }
  | { readonly state: 'failed'; readonly code: string; readonly why: string };

/** A verification of one entry, while and after it runs. */
export interface Verifying {
  readonly index: number;
  readonly steps: readonly VerifyStep[];
  readonly result: EntryVerification | null;
}
