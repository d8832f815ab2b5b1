import { LedgerReader } from '../../../shared/ledger/reader.ts';
import { LEDGER_STREAM, openConfiguredStore } from '../../store/open-store.ts';
import { configOf } from '../settings.ts';

export const STORE_SETTINGS = ['dataDir', 'store', 'origin'] as const;

/** The configured coordinator's ledger, read only: needs neither its key nor its passphrase. */
export async function withReader<T>(
  options: Readonly<Record<string, unknown>>,
  use: (reader: LedgerReader, store: Awaited<ReturnType<typeof openConfiguredStore>>, dataDir: string) => Promise<T>,
): Promise<T> {
  const { config } = await configOf(options);
  const store = await openConfiguredStore(config);
  try {
    return await use(
      await LedgerReader.openReader({ store, stream: LEDGER_STREAM, origin: config.origin }),
      store,
      config.dataDir,
    );
  } finally {
    await store.close();
  }
}
