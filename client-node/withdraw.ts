import { systemRng } from '../shared/core/rng.ts';
import { signerFromSeed } from '../shared/core/signing.ts';
import { withdrawFrom } from '../shared/participant/withdrawal.ts';
import { openSite } from './site.ts';

interface WithdrawSettings {
  /** The join link of the run. */
  readonly link: string;
  readonly reason: string;
  readonly state: string;
  readonly passphrase: string | undefined;
}

/** Takes this site's consent to a run back. @throws FILE_MISSING, CONSENT_REQUIRED, RUN_CLOSED; what a session throws */
export async function withdrawConsent({
  link,
  reason,
  state,
  passphrase,
}: WithdrawSettings): Promise<{ readonly run: string }> {
  const { store, identity } = await openSite(state, passphrase);
  try {
    return await withdrawFrom({
      link,
      reason,
      store,
      signer: signerFromSeed(identity.seed),
      rng: systemRng,
      clock: Date,
      signal: new AbortController().signal,
    });
  } finally {
    await store.close();
  }
}
