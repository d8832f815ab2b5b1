import { base64, fromBase64 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { clientLogName } from '../ledger/client-name.ts';
import { type Handover, isHandover } from '../ledger/key-chain.ts';
import type { ProtocolErrorCode } from './errors.ts';
import { clientIdOf } from './messages.ts';

/**
 * Who says hello under this key. A client's id is of its first key, and each later key was vouched for by the one before, so
 * nobody else can claim the id, and nobody has to have known the client earlier.
 * @param handovers - from the first key to this one, oldest first; attacker-controlled
 * @throws SIGNATURE_INVALID when they are not that
 */
export function clientIdThrough(publicKey: Uint8Array, handovers: readonly Handover[]): string {
  const [first] = handovers;
  if (first === undefined) return clientIdOf(publicKey);
  const clientId = clientIdOf(fromBase64(first.change.oldPublicKey));
  let inForce = first.change.oldPublicKey;
  for (const handover of handovers) {
    const { role, name, oldPublicKey, newPublicKey } = handover.change;
    const follows = role === 'log' && name === clientLogName(clientId) && oldPublicKey === inForce;
    if (!follows || !isHandover(handover)) throw broken();
    inForce = newPublicKey;
  }
  if (inForce !== base64(publicKey)) throw broken();
  return clientId;
}

function broken(): TacitError<ProtocolErrorCode> {
  return new TacitError<ProtocolErrorCode>(
    'SIGNATURE_INVALID',
    'the changes of key do not lead to the key of the hello',
    {
      where: 'hello',
      fix: 'Start with the state folder that changed its key; its own ledger holds every change.',
    },
  );
}
