import { base64 } from '../../../shared/core/bytes.ts';
import { signerFromSeed } from '../../../shared/core/signing.ts';
import type { ClientMessageName, MessageBody } from '../../../shared/secagg/messages.ts';
import { lowOrder } from '../../support/low-order.ts';
import type { Case } from './case.ts';
import { bodyOf, bytes32, type Fault, type FaultTools } from './seat.ts';
import { type RoundSeen, SEATS, type ServerLab } from './server-lab.ts';

/** The seat that misbehaves in most cases. */
const LIAR = 3;
const OTHERS = '1 2 4 5 6';
const EVERYBODY = '1 2 3 4 5 6';

/** What the liar was told, how the round ended, and who is in its sum. */
function told({ seats, outcome, sum }: RoundSeen): string {
  // What is asked again after a refusal is refused again.
  const refusal = [...new Set(seats[LIAR - 1]?.refusals)].join(' ') || 'no refusal';
  return `${refusal}; ${outcome}${sum === '' ? '' : `, sum of ${sum}`}`;
}

const oneRound = (name: string, what: string, fault: Fault, expected: string): Case<ServerLab> => ({
  name: `server/${name}`,
  what,
  expected,
  run: async (lab) => told(await lab.round(fault.on === 'unmask' ? first(fault) : { [LIAR]: fault })),
});

/** The last phase may close with enough answers: the others wait until the liar has given its own. */
function first(fault: Fault): Record<number, Fault> {
  let done: () => void = () => undefined;
  const said = new Promise<void>((resolve) => {
    done = resolve;
  });
  const liar: Fault = { on: 'unmask', act: (tools) => fault.act(tools).finally(done) };
  const other: Fault = { on: 'unmask', honest: true, act: async ({ frame, say }) => said.then(() => say(frame)) };
  return Object.fromEntries(Array.from({ length: SEATS }, (_, i) => [i + 1, i + 1 === LIAR ? liar : other]));
}

/** Says another body under the liar's true signature. */
const body = <N extends ClientMessageName>(on: N, change: (body: MessageBody<N>) => object): Fault => ({
  on,
  act: async ({ frame, say, signed }) => say(signed(change(bodyOf(frame, on)))),
});

/** A lie that costs the liar its seat; nobody else notices. */
const ejected = (name: string, what: string, fault: Fault, code: string): Case<ServerLab> =>
  oneRound(
    name,
    what,
    fault,
    `${code}; released, sum of ${fault.on === 'consistent' || fault.on === 'unmask' ? EVERYBODY : OTHERS}`,
  );

const vanish = (on: Fault['on']): Fault => ({ on, act: async ({ seat }) => seat.vanish() });

const vanishing = (on: ClientMessageName, sum: string): Case<ServerLab> =>
  oneRound(`vanish-before-${on}`, `a client vanishes before ${on}`, vanish(on), `no refusal; released, sum of ${sum}`);

const stranger = signerFromSeed(new Uint8Array(32).fill(7));

/** Both first: the second is refused, and costs the seat. */
const twice = async ({ frame, say, signed }: FaultTools): Promise<void> => {
  await say(frame);
  await say(signed({ ...bodyOf(frame, 'advertise'), nonce: bytes32(1) }));
};

export const SERVER_CASES: readonly Case<ServerLab>[] = [
  {
    name: 'server/honest',
    what: 'six honest clients',
    expected: `no refusal; released, sum of ${EVERYBODY}`,
    run: async (lab) => told(await lab.round()),
  },
  vanishing('advertise', OTHERS),
  vanishing('shares', OTHERS),
  vanishing('masked', OTHERS),
  vanishing('consistent', EVERYBODY),
  vanishing('unmask', EVERYBODY),
  {
    name: 'server/too-few-left',
    what: 'three of six vanish before their shares, where four are needed',
    expected: 'no refusal; aborted: SECAGG_COHORT_TOO_SMALL',
    run: async (lab) => told(await lab.round({ 4: vanish('shares'), 5: vanish('shares'), 6: vanish('shares') })),
  },
  ejected(
    'wrong-signature',
    'an advertisement signed by another key',
    {
      on: 'advertise',
      act: async ({ frame, say, signed }) => say(signed(bodyOf(frame, 'advertise'), stranger)),
    },
    'SECAGG_SIGNATURE',
  ),
  ejected(
    'malformed',
    'an unknown field under a good signature',
    body('shares', (b) => ({ ...b, more: 1 })),
    'SECAGG_MALFORMED',
  ),
  ejected(
    'second-base64-spelling',
    'a key in another spelling of the same bytes',
    body('advertise', (b) => ({ ...b, maskKey: respelt(b.maskKey) })),
    'SECAGG_MALFORMED',
  ),
  ejected(
    'other-session',
    'an advertisement for another session',
    body('advertise', (b) => ({ ...b, session: '0'.repeat(64) })),
    'SECAGG_WRONG_SESSION',
  ),
  ejected(
    'other-sid',
    'shares for another sid',
    body('shares', (b) => ({ ...b, sid: '0'.repeat(64) })),
    'SECAGG_WRONG_SESSION',
  ),
  ejected(
    'other-name',
    'an advertisement in another client’s name',
    body('advertise', (b) => ({ ...b, clientId: 'somebody-else' })),
    'SECAGG_MALFORMED',
  ),
  ejected(
    'low-order-key',
    'a mask key of small order',
    body('advertise', (b) => ({ ...b, maskKey: base64(lowOrder[1] as Uint8Array) })),
    'SECAGG_LOW_ORDER_KEY',
  ),
  ejected(
    'one-key-for-two-purposes',
    'the same key for channel and mask',
    body('advertise', (b) => ({ ...b, maskKey: b.channelKey })),
    'SECAGG_DUPLICATE',
  ),
  ejected('equivocation', 'two different advertisements', { on: 'advertise', act: twice }, 'SECAGG_EQUIVOCATION'),
  ejected(
    'later-phase',
    'a signature on survivors while keys are being advertised',
    {
      on: 'advertise',
      act: async ({ frame, say, signed }) => {
        const { session, clientId } = bodyOf(frame, 'advertise');
        const hash = '0'.repeat(64);
        await say(signed({ session, sid: hash, clientId, survivorsHash: hash }, undefined, 'consistent'));
      },
    },
    'SECAGG_WRONG_PHASE',
  ),
  ejected(
    'holder-left-out',
    'shares without a box for one holder',
    body('shares', (b) => ({ ...b, shares: b.shares.slice(1) })),
    'SECAGG_MALFORMED',
  ),
  ejected(
    'other-shape',
    'a manifest of a shorter vector',
    body('masked', (b) => ({ ...b, dimension: b.dimension - 1 })),
    'SECAGG_SHAPE',
  ),
  ejected(
    'other-survivors',
    'a signature on another survivor set',
    body('consistent', (b) => ({ ...b, survivorsHash: '0'.repeat(64) })),
    'SECAGG_SURVIVORS',
  ),
  ejected(
    'wrong-share',
    'shares that do not open their commitments',
    body('unmask', (b) => ({
      ...b,
      shares: b.shares.map((a) => (a.kind === 'complaint' ? a : { ...a, share: bytes32(5) })),
    })),
    'SECAGG_SHARE',
  ),
  ejected(
    'wrong-surplus-share',
    'surplus shares that do not open their commitments',
    body('unmask', (b) => ({
      ...b,
      shares: b.shares.map((a) =>
        a.kind === 'seed' && a.surplus !== null ? { ...a, surplus: { ...a.surplus, share: bytes32(5) } } : a,
      ),
    })),
    'SECAGG_SHARE',
  ),
  ejected(
    'no-surplus-share',
    'no share of the surplus noise',
    body('unmask', (b) => ({ ...b, shares: b.shares.map((a) => (a.kind === 'seed' ? { ...a, surplus: null } : a)) })),
    'SECAGG_MALFORMED',
  ),
  ejected(
    'answer-missing',
    'no answer about one neighbour',
    body('unmask', (b) => ({ ...b, shares: b.shares.slice(1) })),
    'SECAGG_MALFORMED',
  ),
  oneRound(
    'lying-dealer',
    'a commitment to another seed than the one that was shared',
    body('shares', (b) => ({ ...b, seedCommitment: bytes32(1) })),
    'no refusal; aborted: SECAGG_RECONSTRUCTION',
  ),
  oneRound(
    'retransmission',
    'shares twice, as after a lost answer',
    {
      on: 'shares',
      act: async ({ frame, say }) => {
        await say(frame);
        await say(frame);
      },
    },
    `no refusal; released, sum of ${EVERYBODY}`,
  ),
  oneRound(
    'chunk-checksum',
    'a chunk that is not what its checksum says, then the right one',
    {
      on: 'chunk',
      act: async ({ chunk }) => {
        await chunk?.put({ sha256: '0'.repeat(64) });
        await chunk?.put({});
      },
    },
    `CHECKSUM_MISMATCH; released, sum of ${EVERYBODY}`,
  ),
  oneRound(
    'chunk-length',
    'a chunk that the vector does not have, then the right one',
    {
      on: 'chunk',
      act: async ({ chunk }) => {
        await chunk?.put({ index: 1 });
        await chunk?.put({});
      },
    },
    `MESSAGE_INVALID; released, sum of ${EVERYBODY}`,
  ),
  oneRound(
    'manifest-without-chunk',
    'a manifest whose chunk never arrived',
    { on: 'chunk', act: async () => undefined },
    `MESSAGE_INVALID; released, sum of ${OTHERS}`,
  ),
];

/** The same bytes with other bits after the last one: base64 that a lax decoder accepts (RFC 4648 §3.5). */
function respelt(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const last = alphabet.indexOf(text.at(-2) as string);
  return `${text.slice(0, -2)}${alphabet[last ^ 1]}=`;
}
