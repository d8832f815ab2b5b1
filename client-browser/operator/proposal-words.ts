import { budgetInWords } from '../../shared/ledger/budget.ts';
import type { ProposalView } from '../../shared/protocol/views.ts';

/** What it is about, in a few words: heading, dialogs, labels. */
export function proposalTitle(p: ProposalView): string {
  if (p.kind === 'budget.open') return `${budgetInWords(p.document.budget)}: ε ${p.document.epsilon}`;
  const { approvers } = p.document;
  return `Approvers: ${approvers.map((a) => a.name).join(', ') || 'nobody'}`;
}

/** What became of it once the last signature is in. */
export function acceptedWords(p: ProposalView): string {
  return p.kind === 'budget.open'
    ? `The budget is open: ledger entry ${p.ledgerIndex}.`
    : `The new approvers are in office: ledger entry ${p.ledgerIndex}.`;
}

/** The command that signs it on another machine, and the name of the file that it reads. */
export function signingCommand({ kind }: ProposalView): { readonly file: string; readonly command: string } {
  const [file, command] =
    kind === 'budget.open' ? ['opening.json', 'tacit budget approve'] : ['change.json', 'tacit approver approve'];
  return { file, command: `${command} ${file} --name "Your name" --key your-key.json > approval.json` };
}
