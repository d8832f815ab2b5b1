export type LedgerErrorCode =
  /** A note, checkpoint, key, cosignature or proof file is not in its format. */
  | 'NOTE_INVALID'
  /** A signature does not verify, or the one that is needed is not there. */
  | 'NOTE_UNSIGNED'
  /** A Merkle proof does not lead from the leaf (or the old root) to the root. */
  | 'PROOF_INVALID'
  /** An index or size outside the tree. */
  | 'LEDGER_RANGE'
  /** The entry is not one of the kinds, misses a field, or is over 65,535 bytes. */
  | 'LEDGER_ENTRY_INVALID'
  /** Another writer appended first: decide again on what the ledger holds now. */
  | 'LEDGER_MOVED'
  /** The operation id was used for another entry. */
  | 'LEDGER_OPERATION_REUSED'
  /** What is stored is not what was signed. */
  | 'LEDGER_CORRUPT'
  /** The stored checkpoints were signed by another key and no key.rotate entry says why. */
  | 'LEDGER_KEY_UNKNOWN';

export type BudgetErrorCode =
  /** The reservation does not fit in what is left. */
  | 'BUDGET_EXCEEDED'
  | 'BUDGET_UNKNOWN'
  /** Re-opening or raising without need, or on an outdated state. */
  | 'BUDGET_STATE'
  /** Fewer valid approvals by different keys than opening or raising takes. */
  | 'BUDGET_UNAPPROVED'
  | 'RESERVATION_UNKNOWN'
  | 'RESERVATION_CLOSED'
  /** Something was revealed under the reservation, so it is spent and cannot be given back. */
  | 'RESERVATION_SPENT';
