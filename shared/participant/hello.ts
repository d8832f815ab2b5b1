import { base64, fromBase64 } from '../core/bytes.ts';
import { TacitError } from '../core/errors.ts';
import type { Signer } from '../core/signing.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { fingerprintOf, type JoinCode } from '../protocol/join-code.ts';
import {
  type Challenge,
  helloContext,
  PROTOCOL_VERSION,
  parseMessage,
  type Welcome,
  welcomeSchema,
  withSignature,
} from '../protocol/messages.ts';
import { parsePlan } from '../protocol/plan.ts';

interface HelloOptions {
  readonly code: JoinCode;
  readonly signer: Signer;
  readonly organisation: string;
  /** Size of this coordinator's ledger that was verified last. */
  readonly seen: number;
  request(name: string, payload: unknown): Promise<unknown>;
}

/**
 * Introduces this site to the coordinator whose fingerprint the join code names, and to no other.
 * @throws PROTOCOL_VERSION, COORDINATOR_UNKNOWN, PLAN_INVALID, PLAN_CLAIM_FALSE, MESSAGE_INVALID; the coordinator's refusals
 */
export async function sayHello(challenge: Challenge, options: HelloOptions): Promise<Welcome> {
  const { code, signer, organisation, seen } = options;
  checkCoordinator(challenge, code);
  const body = {
    protocol: PROTOCOL_VERSION,
    publicKey: base64(signer.publicKey),
    token: code.token,
    organisation,
    seen,
  };
  const { signature } = withSignature('hello', helloContext(body, challenge), signer) as { signature: string };
  const welcome = parseMessage(welcomeSchema, await options.request('hello', { ...body, signature }), 'welcome');
  const plan = parsePlan(welcome.terms.plan, 'the plan on offer');
  return { ...welcome, terms: { ...welcome.terms, plan } } as unknown as Welcome;
}

function checkCoordinator(challenge: Challenge, code: JoinCode): void {
  if (challenge.protocol !== PROTOCOL_VERSION) {
    throw new TacitError<ProtocolErrorCode>(
      'PROTOCOL_VERSION',
      `the coordinator speaks ${challenge.protocol}, this client ${PROTOCOL_VERSION}`,
      { fix: 'Update the older side.' },
    );
  }
  const fingerprint = fingerprintOf(fromBase64(challenge.publicKey));
  if (fingerprint === code.fingerprint) return;
  throw new TacitError<ProtocolErrorCode>(
    'COORDINATOR_UNKNOWN',
    `the coordinator's key is ${fingerprint}, the join code names ${code.fingerprint}`,
    { where: code.url, fix: 'Ask the operator for a new join code over a channel you trust.' },
  );
}
