import type { ProposalView } from '../../shared/protocol/views.ts';

/** What the page asks of the part of it that holds a key. */
export interface SignRequest {
  /** Bytes of a key file (shared/core/key-file.ts). */
  readonly keyFile: Uint8Array;
  readonly passphrase: string;
  readonly approver: string;
  readonly proposal: Pick<ProposalView, 'kind' | 'document'>;
}

export type SignAnswer =
  | { readonly ok: true; readonly approval: Omit<ProposalView['approvals'][number], 'counts'> }
  | { readonly ok: false; readonly code: SignProblem };

export type SignProblem = 'KEY_FILE_UNREADABLE' | 'KEY_WITHOUT_PASSPHRASE' | 'PASSPHRASE_WRONG';
