import { fromBase64, hex } from '../../shared/core/bytes.ts';
import { clientOfLog } from '../../shared/ledger/client-name.ts';
import type { Entry } from '../../shared/ledger/entries.ts';

/** What the ledger says of clients' keys. It needs no second place that could disagree. Keys in hex. */
export class ClientKeys {
  readonly #retired = new Set<string>();
  readonly #revoked = new Set<string>();

  /** @returns the client that came to another key, and both */
  follow(entry: Entry): { readonly clientId: string; readonly before: string; readonly after: string } | undefined {
    if (entry.kind === 'key.revoke') {
      this.#retired.add(hex(fromBase64(entry.publicKey)));
      this.#revoked.add(entry.clientId);
      return undefined;
    }
    if (entry.kind !== 'key.rotate') return undefined;
    const clientId = clientOfLog(entry.change.name);
    if (clientId === undefined || entry.change.role !== 'log') return undefined;
    const { oldPublicKey, newPublicKey } = entry.change;
    const before = hex(fromBase64(oldPublicKey));
    this.#retired.add(before);
    return { clientId, before, after: hex(fromBase64(newPublicKey)) };
  }

  /** It handed over to another key, or the operator ended it. */
  isRetired(publicKey: string): boolean {
    return this.#retired.has(publicKey);
  }

  /** The operator gave this client's seat to somebody else. */
  isRevoked(clientId: string): boolean {
    return this.#revoked.has(clientId);
  }
}
