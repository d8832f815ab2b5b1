import type { ProposalView } from '../../shared/protocol/views.ts';
import type { SignAnswer, SignProblem } from '../signing/messages.ts';

/** Why nothing was sent, in words. */
export interface NotSent {
  readonly code: string;
  readonly what: string;
  readonly fix: string;
}

const PROBLEMS: Readonly<Record<SignProblem, NotSent>> = {
  KEY_FILE_UNREADABLE: {
    code: 'KEY_FILE_UNREADABLE',
    what: 'This is not a key file, so nothing was signed.',
    fix: 'Choose the file that "tacit approver key --key FILE" made, not the public one that it printed.',
  },
  KEY_WITHOUT_PASSPHRASE: {
    code: 'KEY_WITHOUT_PASSPHRASE',
    what: 'This key is sealed to the machine that made it, not with a passphrase, so nothing was signed.',
    fix: 'Sign on that machine, or give yourself a key with a passphrase: TACIT_KEY_PASSPHRASE=… tacit approver rotate.',
  },
  PASSPHRASE_WRONG: {
    code: 'PASSPHRASE_WRONG',
    what: 'The key does not open with this passphrase, so nothing was signed.',
    fix: 'Choose the file again and type the passphrase that it was made with.',
  },
};

/** The answer of the part that signs, held against who may sign, before anything is sent. Undefined: send it. */
export function reasonNotToSend(
  answer: SignAnswer,
  { approvals }: Pick<ProposalView, 'approvals'>,
  inOffice: readonly { readonly name: string; readonly publicKey: string }[],
): NotSent | undefined {
  if (!answer.ok) return PROBLEMS[answer.code];
  const { publicKey } = answer.approval;
  if (inOffice.length > 0 && !inOffice.some((a) => a.publicKey === publicKey))
    return {
      code: 'APPROVER_NOT_IN_OFFICE',
      what: 'The key opens, but it is not an approver’s, so its signature was not sent.',
      fix: `In office: ${inOffice.map((a) => a.name).join(', ')}. The public key of this file is ${publicKey}.`,
    };
  const signed = approvals.find((a) => a.publicKey === publicKey);
  if (signed !== undefined)
    return {
      code: 'APPROVAL_DUPLICATE',
      what: `${signed.approver} has signed this already.`,
      fix: 'Nothing was sent. A second person has to sign, with another key.',
    };
  return undefined;
}
