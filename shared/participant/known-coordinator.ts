import { fromBase64 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import { isHandover } from '../ledger/key-chain.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { fingerprintOf, type JoinCode } from '../protocol/join-code.ts';
import { type Challenge, PROTOCOL_VERSION } from '../protocol/messages.ts';

/**
 * Keys of the coordinator, oldest first, the present one last. The join code pins one of them; a later one counts only when
 * each key on the way vouched for the next with its own signature.
 * @throws PROTOCOL_VERSION; COORDINATOR_UNKNOWN when no such chain leads from the pinned key to the one that is shown
 */
export function coordinatorKeys(challenge: Challenge, code: JoinCode): readonly Uint8Array[] {
  if (challenge.protocol !== PROTOCOL_VERSION) {
    throw new TacitError<ProtocolErrorCode>(
      'PROTOCOL_VERSION',
      `the coordinator speaks ${challenge.protocol}, this client ${PROTOCOL_VERSION}`,
      { fix: 'Update the older side.' },
    );
  }
  const keys = [challenge.publicKey];
  for (const handover of [...challenge.handovers].reverse()) {
    const { role, oldPublicKey, newPublicKey } = handover.change;
    if (role !== 'log' || newPublicKey !== keys[0] || !isHandover(handover)) break;
    if (keys.includes(oldPublicKey)) break;
    keys.unshift(oldPublicKey);
  }
  const known = keys.map(fromBase64);
  if (known.some((key) => fingerprintOf(key) === code.fingerprint)) return known;
  throw new TacitError<ProtocolErrorCode>(
    'COORDINATOR_UNKNOWN',
    `the coordinator's key is ${fingerprintOf(fromBase64(challenge.publicKey))}, the join code names ${code.fingerprint}`,
    {
      where: code.url,
      fix: 'Ask the operator for a new join code over a channel you trust.',
    },
  );
}
