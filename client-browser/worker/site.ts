import type { Clock } from '../../shared/core/clock.ts';
import type { Rng } from '../../shared/core/rng.ts';
import { clientOfLog } from '../../shared/ledger/client-name.ts';
import { finishRotation, type KeyedLedger, rotateLedgerKey } from '../../shared/ledger/key-change.ts';
import { OWN_LEDGER_STREAM, ownOrigin } from '../../shared/participant/own-ledger.ts';
import type { Store } from '../../shared/store/port.ts';
import { type Identity, identitySlots, openIdentity } from './identity.ts';

/** This browser as a participant. */
export interface Site extends Identity {
  /** Of its first key: it stays when the key changes. */
  readonly clientId: string;
}

/** Its identity; a change of key that a crash cut short is finished first. */
export async function openSite(store: Store, rng: Rng, clock: Clock): Promise<Site> {
  const place = await keyed(store, rng, clock);
  await finishRotation(place);
  return { ...(await openIdentity(rng)), clientId: clientOfLog(place.origin) as string };
}

/** Gives this browser another key. It stays the same participant: coordinators are shown the change at the next hello. */
export async function changeKey(store: Store, rng: Rng, clock: Clock, reason: string): Promise<number> {
  return rotateLedgerKey(await keyed(store, rng, clock), reason);
}

async function keyed(store: Store, rng: Rng, clock: Clock): Promise<KeyedLedger> {
  const slots = identitySlots(rng);
  const origin = await ownOrigin(store, (await slots.current()).publicKey);
  return { store, stream: OWN_LEDGER_STREAM, origin, slots, clock };
}
