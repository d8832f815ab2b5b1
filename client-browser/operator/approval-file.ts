import { approvalSchema } from '../../shared/ledger/entries.ts';
import { verifyStatement } from '../../shared/ledger/statement.ts';
import type { ProposalView } from '../../shared/protocol/views.ts';

export type SentApproval = Omit<ProposalView['approvals'][number], 'counts'>;

/** An approval is a few hundred bytes. */
const FILE_CHARS = 16 << 10;

export type ReadApproval =
  | { readonly ok: true; readonly approval: SentApproval }
  | { readonly ok: false; readonly code: string; readonly what: string; readonly fix: string };

/** An approval file, checked on this device against the document shown before anything is sent. */
export function readApproval(text: string, { kind, document }: ProposalView): ReadApproval {
  let value: unknown;
  try {
    value = text.length > FILE_CHARS ? undefined : JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (looksLikeKey(value))
    return no(
      'KEY_FILE',
      'This is a key, not an approval. It was not sent anywhere.',
      'Choose it as your key file and type its passphrase, or sign with it on your own machine and bring what the command printed.',
    );
  const parsed = approvalSchema.safeParse(value);
  if (!parsed.success)
    return no(
      'APPROVAL_UNREADABLE',
      'This is not an approval, so it was not sent.',
      'Bring the file that the command printed: approver, publicKey and signature.',
    );
  const { publicKey, signature } = parsed.data;
  if (!verifyStatement(kind, document, publicKey, signature))
    return no(
      'APPROVAL_INVALID',
      'The signature is not of this document, so it was not sent.',
      'Download the document above and sign exactly that one.',
    );
  return { ok: true, approval: parsed.data };
}

/** The file of a keystore, or anything with a secret's name in it. */
function looksLikeKey(value: unknown): boolean {
  return typeof value === 'object' && value !== null && ['box', 'seed', 'secretKey', 'key'].some((k) => k in value);
}

function no(code: string, what: string, fix: string): ReadApproval {
  return { ok: false, code, what, fix };
}
