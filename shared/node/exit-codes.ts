import { TacitError } from '../core/errors.ts';

/** What a command's exit code says. */
export const EXIT = { ok: 0, failure: 1, configuration: 2, budgetRefused: 3, verificationFailed: 4 } as const;

/** Codes that mean "what you gave me is wrong", so that trying again unchanged cannot help. */
const CONFIGURATION = new Set([
  'USAGE',
  'CONFIG_INVALID',
  'PORT_TAKEN',
  'ADDRESS_UNUSABLE',
  'NOT_BUILT',
  'FILE_MISSING',
  'FILE_UNREADABLE',
  'FILE_TOO_LARGE',
  'FILE_EXISTS',
  'DOCUMENT_INVALID',
  'PLAN_INVALID',
  'PLAN_CLAIM_FALSE',
  'POLICY_INVALID',
  'POLICY_MISSING',
  'JOIN_CODE_INVALID',
  'INVITATION_UNKNOWN',
  'INVITATION_EXPIRED',
  'INVITATION_USED',
  'NOT_AUTHORISED',
  'PROTOCOL_VERSION',
  'KEYSTORE_LOCKED',
  'KEYSTORE_INVALID',
  'HUB_NAME_INVALID',
  'PRIVACY_PARAMETER_INVALID',
  'TRAINING_OPTION',
]);
const BUDGET = new Set(['POLICY_REFUSED']);
const VERIFICATION = new Set([
  'LEDGER_DISAGREES',
  'VERIFICATION_FAILED',
  'WEIGHTS_MISMATCH',
  'COORDINATOR_UNKNOWN',
  'SIGNATURE_INVALID',
]);

/** 1 for everything that is neither configuration, nor budget, nor verification. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof TacitError)) return EXIT.failure;
  if (CONFIGURATION.has(error.code) || error.code.startsWith('DATA_')) return EXIT.configuration;
  if (BUDGET.has(error.code) || error.code.startsWith('BUDGET_')) return EXIT.budgetRefused;
  return VERIFICATION.has(error.code) ? EXIT.verificationFailed : EXIT.failure;
}
