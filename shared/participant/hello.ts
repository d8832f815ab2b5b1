import { base64 } from '../core/bytes.ts';
import type { Signer } from '../core/signing.ts';
import type { Handover } from '../ledger/key-chain.ts';
import type { JoinCode } from '../protocol/join-code.ts';
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
import { coordinatorKeys } from './known-coordinator.ts';

interface HelloOptions {
  readonly code: JoinCode;
  readonly signer: Signer;
  readonly organisation: string;
  /** Changes of this site's own key. */
  readonly handovers: readonly Handover[];
  /** Size of this coordinator's ledger that was verified last. */
  readonly seen: number;
  request(name: string, payload: unknown): Promise<unknown>;
}

/**
 * Introduces this site to the coordinator whose key the join code names (or that this key handed over to), and to no other.
 * @throws PROTOCOL_VERSION, COORDINATOR_UNKNOWN, PLAN_INVALID, PLAN_CLAIM_FALSE, MESSAGE_INVALID; the coordinator's refusals
 */
export async function sayHello(challenge: Challenge, options: HelloOptions): Promise<Welcome> {
  const { code, signer, organisation, seen, handovers } = options;
  coordinatorKeys(challenge, code);
  const body = {
    protocol: PROTOCOL_VERSION,
    publicKey: base64(signer.publicKey),
    token: code.token,
    organisation,
    seen,
    ...(handovers.length === 0 ? {} : { handovers: [...handovers] }),
  };
  const { signature } = withSignature('hello', helloContext(body, challenge), signer) as { signature: string };
  const welcome = parseMessage(welcomeSchema, await options.request('hello', { ...body, signature }), 'welcome');
  const plan = parsePlan(welcome.terms.plan, 'the plan on offer');
  return { ...welcome, terms: { ...welcome.terms, plan } } as unknown as Welcome;
}
