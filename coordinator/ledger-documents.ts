import { documentOf } from '../shared/ledger/documents.ts';
import type { LedgerReader } from '../shared/ledger/reader.ts';
import type { Store } from '../shared/store/port.ts';

/** Documents beside the log. Only what an entry names is given out: the store's other blobs are models and uploads. */
export class LedgerDocuments {
  readonly #ledger: Pick<LedgerReader, 'entries'>;
  readonly #store: Pick<Store, 'getBlob' | 'blobSize'>;
  readonly #named = new Map<string, string>();
  #read = 0;

  constructor(ledger: Pick<LedgerReader, 'entries'>, store: Pick<Store, 'getBlob' | 'blobSize'>) {
    this.#ledger = ledger;
    this.#store = store;
  }

  /** @param path - `plans/<sha256>.json` or `rosters/<sha256>.json`. @returns undefined where no entry names it or it is gone */
  async read(path: string): Promise<Uint8Array | undefined> {
    const sha256 = this.#named.get(path) ?? (await this.#refreshed(path));
    if (sha256 === undefined || (await this.#store.blobSize(sha256)) === undefined) return undefined;
    return this.#store.getBlob(sha256);
  }

  async #refreshed(path: string): Promise<string | undefined> {
    for (const { index, entry } of await this.#ledger.entries(this.#read)) {
      const document = documentOf(entry);
      if (document !== undefined) this.#named.set(document.path, document.sha256);
      this.#read = Math.max(this.#read, index + 1);
    }
    return this.#named.get(path);
  }
}
