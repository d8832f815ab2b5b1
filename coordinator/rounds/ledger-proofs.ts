import { base64, fromUtf8 } from '../../shared/core/bytes.ts';
import { peekCheckpoint } from '../../shared/ledger/checkpoint.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import type { LedgerProof } from '../../shared/protocol/messages.ts';

/** An entry, where it stands, and that the ledger still extends what the asker saw. @param since - size the asker verified; more than there is asks for a proof that cannot exist, so 0 is used and the asker refuses */
export async function ledgerProof(ledger: Ledger, index: number, since: number): Promise<LedgerProof> {
  const checkpoint = await ledger.checkpoint();
  const { size } = peekCheckpoint(checkpoint);
  const from = since <= size ? since : 0;
  const { bytes } = await ledger.entry(index);
  return {
    index,
    entry: fromUtf8(bytes),
    checkpoint,
    inclusion: ledger.inclusionProof(index, size).map(base64),
    since: from,
    consistency: from === 0 ? [] : ledger.consistencyProof(from, size).map(base64),
  };
}
