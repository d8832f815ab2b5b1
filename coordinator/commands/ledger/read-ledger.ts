import type { BundleFiles } from '../../../shared/ledger/bundle.ts';
import { readBundle } from '../../../shared/node/directory-files.ts';
import { fetchLog } from '../../../shared/node/remote-log.ts';

/** A year of a busy coordinator; a larger one is verified piece by piece by witnesses. */
const BUNDLE_BYTES = 2 ** 30;

/** Files of a ledger: an exported directory or .zip, or the static log at an http(s) address. */
export function readLedger(place: string): Promise<BundleFiles> {
  return /^https?:\/\//.test(place) ? fetchLog(place, BUNDLE_BYTES) : readBundle(place, BUNDLE_BYTES);
}
