import { base64, fromBase64 } from '../../../shared/core/bytes.ts';
import type { SecaggFrame } from '../../../shared/protocol/messages.ts';
import {
  type MessageBody,
  type SecaggConfig,
  type ServerMessageName,
  type Signed,
  signMessage,
  survivorsHash,
} from '../../../shared/secagg/messages.ts';
import { lowOrder } from '../../support/low-order.ts';
import type { Case } from './case.ts';
import { type Attack, type AttackTools, type ClientLab, type ClientSeen, stranger } from './client-lab.ts';
import { bytes32 } from './seat.ts';

/** A client case also says which code docs/PROTOCOL.md has for the refusal; on the wire only silence is seen. */
export interface ClientCase extends Case<ClientLab> {
  readonly code: string | undefined;
}

type Friend = AttackTools['friends'][number];
type Keys = MessageBody<'keys'>;
type Inbox = MessageBody<'inbox'>;
type Survivors = MessageBody<'survivors'>;

/** What a client has said when it refuses the named message. */
const UNTIL: Readonly<Record<ServerMessageName, string>> = {
  config: 'nothing',
  keys: 'advertise',
  inbox: 'advertise shares',
  survivors: 'advertise shares masked',
  signatures: 'advertise shares masked consistent',
};
const EVERYTHING = 'advertise shares masked consistent unmask';

const saidBy = ({ said }: ClientSeen): string => said.join(' ') || 'nothing';

const attacked = (
  name: string,
  what: string,
  attack: Attack | undefined,
  code: string | undefined,
  expected: string,
  told: (seen: ClientSeen) => string = saidBy,
): ClientCase => ({
  name: `client/${name}`,
  what,
  code,
  expected,
  run: async (lab) => told(await lab.attack(attack)),
});

/** The client says nothing more, once it was told another body of one message. */
const refused = <N extends ServerMessageName>(
  on: N,
  name: string,
  what: string,
  change: (body: MessageBody<N>, tools: AttackTools) => object,
  code: string,
): ClientCase => {
  const tell: Attack['tell'] = (tools) => [
    tools.signed(change(structuredClone((tools.frame.signed as Signed).body) as MessageBody<N>, tools)),
  ];
  return attacked(`${on}-${name}`, what, { on, tell }, code, UNTIL[on]);
};

const config = (name: string, what: string, change: (body: SecaggConfig, tools: AttackTools) => object, code: string) =>
  refused('config', name, what, change, code);

/** The advertisement of a friend in a list of keys, said again with another content. */
const readvertised = (
  body: Keys,
  { friends }: AttackTools,
  change: (own: MessageBody<'advertise'>) => object,
  signer?: Friend['signer'],
): Keys => {
  const friend = friends[0] as Friend;
  const advertisements = body.advertisements.map((message) => {
    const own = message.body as MessageBody<'advertise'>;
    if (own.clientId !== friend.id) return message;
    return signMessage('advertise', change(own) as MessageBody<'advertise'>, signer ?? friend.signer);
  });
  return { ...body, advertisements };
};

const without = <T>(list: readonly T[], out: (item: T) => boolean): T[] => list.filter((item) => !out(item));
const advertiser = (message: Signed): string => (message.body as MessageBody<'advertise'>).clientId;

function toldSurvivors(before: AttackTools['before']): Survivors {
  const frame = before.findLast((f) => f.name === 'survivors') as SecaggFrame;
  return (frame.signed as Signed).body as Survivors;
}

/** Signatures of friends on a survivor set, with the victim's own left as it is. */
function signaturesOn(survivors: readonly string[], { friends, frame, before }: AttackTools): Signed[] {
  const { session, sid } = toldSurvivors(before);
  const hash = survivorsHash(sid, survivors);
  const own = ((frame.signed as Signed).body as MessageBody<'signatures'>).signatures;
  return own.map((message) => {
    const { clientId } = message.body as MessageBody<'consistent'>;
    const friend = friends.find((f) => f.id === clientId);
    if (friend === undefined) return message;
    return signMessage('consistent', { session, sid, clientId, survivorsHash: hash }, friend.signer);
  });
}

/** The survivor set that the client signed, without one friend. */
function smaller({ friends, before }: AttackTools): { readonly body: Survivors; readonly survivors: string[] } {
  const body = toldSurvivors(before);
  return { body, survivors: without(body.survivors, (id) => id === friends[0]?.id) };
}

const otherwise = (text: string): string => `${text.startsWith('0') ? '1' : '0'}${text.slice(1)}`;

export const CLIENT_CASES: readonly ClientCase[] = [
  attacked('honest', 'an honest coordinator', undefined, undefined, EVERYTHING),
  attacked(
    'config-signature',
    'a configuration signed by another key than the pinned one',
    { on: 'config', tell: ({ frame, signed }) => [signed((frame.signed as Signed).body as object, stranger)] },
    'SECAGG_SIGNATURE',
    UNTIL.config,
  ),
  config('malformed', 'an unknown field in the configuration', (b) => ({ ...b, more: 1 }), 'SECAGG_MALFORMED'),
  config(
    'threshold',
    'a threshold that opens both secrets',
    (b) => ({ ...b, threshold: b.threshold - 1 }),
    'SECAGG_PARAMETERS',
  ),
  config('noise', 'half the noise', (b) => ({ ...b, committedSigma: b.committedSigma / 2 }), 'PLAN_CLAIM_FALSE'),
  config('minimum', 'a smaller minimum cohort', (b) => ({ ...b, minimumCohort: 3 }), 'PLAN_CLAIM_FALSE'),
  config('scale', 'another scale', (b) => ({ ...b, scale: 2 * b.scale }), 'PLAN_CLAIM_FALSE'),
  config('dimension', 'another dimension', (b) => ({ ...b, dimension: b.dimension + 1 }), 'PLAN_CLAIM_FALSE'),
  config('roster', 'another roster', (b) => ({ ...b, rosterHash: '0'.repeat(64) }), 'SECAGG_ROSTER'),
  config(
    'outside-cohort',
    'a cohort that this client is not in',
    (b, { victim }) => ({ ...b, cohort: b.cohort.map((id) => (id === victim ? `${id}x` : id)) }),
    'SECAGG_ROSTER',
  ),
  config(
    'ledger-proof',
    'a proof that the plan is not in the log',
    (b) => ({ ...b, ledger: { ...b.ledger, inclusion: b.ledger.inclusion.map(() => bytes32(1)) } }),
    'LEDGER_DISAGREES',
  ),
  attacked(
    'config-replay',
    'the first round again, under a new session, when it is over',
    {
      on: 'config',
      round: 2,
      tell: ({ frame, signed }) => {
        const body = (frame.signed as Signed).body as SecaggConfig;
        return [{ ...signed({ ...body, round: 1, chunkBytes: 4 }), round: 1 }];
      },
    },
    'SECAGG_REPLAY',
    UNTIL.config,
  ),
  attacked(
    'config-session-again',
    'the very session that is over',
    {
      on: 'config',
      round: 2,
      tell: ({ before }) => before.filter((f) => f.name === 'config').slice(0, 1),
    },
    'SECAGG_STATE_LOST',
    UNTIL.config,
  ),

  attacked(
    'keys-signature',
    'a list of keys signed by another key',
    { on: 'keys', tell: ({ frame, signed }) => [signed((frame.signed as Signed).body as object, stranger)] },
    'SECAGG_SIGNATURE',
    UNTIL.keys,
  ),
  refused(
    'keys',
    'impersonation',
    'another client’s keys, replaced by the coordinator',
    (b, tools) => readvertised(b, tools, (own) => ({ ...own, maskKey: bytes32(9) }), tools.server),
    'SECAGG_SIGNATURE',
  ),
  refused(
    'keys',
    'stranger',
    'a client that is on no roster',
    (b, tools) => readvertised(b, tools, (own) => ({ ...own, clientId: 'zz' }), stranger),
    'SECAGG_ROSTER',
  ),
  refused(
    'keys',
    'own-entry',
    'a list without this client',
    (b, { victim }) => ({ ...b, advertisements: without(b.advertisements, (m) => advertiser(m) === victim) }),
    'SECAGG_OWN_ENTRY',
  ),
  refused(
    'keys',
    'twice',
    'one client twice, so that the cohort looks larger',
    (b) => ({ ...b, advertisements: [b.advertisements[0], ...b.advertisements] }),
    'SECAGG_DUPLICATE',
  ),
  refused(
    'keys',
    'shared-key',
    'two clients with one mask key',
    (b, tools) => {
      const second = b.advertisements.find((m) => advertiser(m) === tools.friends[1]?.id) as Signed;
      const { maskKey } = second.body as MessageBody<'advertise'>;
      return readvertised(b, tools, (own) => ({ ...own, maskKey }));
    },
    'SECAGG_DUPLICATE',
  ),
  refused(
    'keys',
    'low-order',
    'a channel key of small order',
    (b, tools) => readvertised(b, tools, (own) => ({ ...own, channelKey: base64(lowOrder[1] as Uint8Array) })),
    'SECAGG_LOW_ORDER_KEY',
  ),
  refused(
    'keys',
    'too-few',
    'three clients where four are the minimum',
    (b, { victim }) => {
      const others = without(b.advertisements, (m) => advertiser(m) === victim).slice(0, 2);
      return { ...b, advertisements: b.advertisements.filter((m) => advertiser(m) === victim || others.includes(m)) };
    },
    'SECAGG_COHORT_TOO_SMALL',
  ),
  refused(
    'keys',
    'other-session',
    'keys that were advertised for another session',
    (b, tools) => readvertised(b, tools, (own) => ({ ...own, session: otherwise(own.session) })),
    'SECAGG_WRONG_SESSION',
  ),
  refused(
    'keys',
    'unsorted',
    'a list in another order',
    (b) => ({ ...b, advertisements: [...b.advertisements].reverse() }),
    'SECAGG_ROSTER',
  ),

  refused(
    'inbox',
    'too-few',
    'three members where four are the minimum',
    (b, { victim, friends }) => {
      const members = [victim, friends[0]?.id, friends[1]?.id].sort() as string[];
      return { ...b, members, shares: b.shares.filter((s) => members.includes(s.from)) };
    },
    'SECAGG_COHORT_TOO_SMALL',
  ),
  refused(
    'inbox',
    'own-entry',
    'members without this client',
    (b, { victim }) => ({ ...b, members: without(b.members, (id) => id === victim) }),
    'SECAGG_OWN_ENTRY',
  ),
  refused(
    'inbox',
    'stranger',
    'a member that never advertised',
    (b) => ({ ...b, members: [...b.members, 'zz'] }),
    'SECAGG_SURVIVORS',
  ),
  refused(
    'inbox',
    'other-sid',
    'an inbox of another sid',
    (b) => ({ ...b, sid: otherwise(b.sid) }),
    'SECAGG_WRONG_SESSION',
  ),
  attacked(
    'inbox-bad-box',
    'a box that does not open: the client complains in its last message and goes on',
    {
      on: 'inbox',
      harmless: true,
      tell: ({ frame, signed, friends }) => {
        const body = structuredClone((frame.signed as Signed).body) as Inbox;
        const shares = body.shares.map((entry) => {
          if (entry.from !== friends[0]?.id) return entry;
          const box = fromBase64(entry.box);
          box[40] = (box[40] as number) ^ 1;
          return { ...entry, box: base64(box) };
        });
        return [signed({ ...body, shares })];
      },
    },
    undefined,
    `${EVERYTHING}, 1 complaint`,
    (seen) => {
      const answers = (seen.body('unmask') as MessageBody<'unmask'> | undefined)?.shares ?? [];
      return `${saidBy(seen)}, ${answers.filter((a) => a.kind === 'complaint').length} complaint`;
    },
  ),

  refused(
    'survivors',
    'own-entry',
    'survivors without this client, which uploaded',
    (b, { victim }) => ({ ...b, survivors: without(b.survivors, (id) => id === victim) }),
    'SECAGG_SURVIVORS',
  ),
  refused(
    'survivors',
    'too-few',
    'three survivors where four are the minimum',
    (b, { victim, friends }) => ({ ...b, survivors: [victim, friends[0]?.id, friends[1]?.id].sort() }),
    'SECAGG_COHORT_TOO_SMALL',
  ),
  refused(
    'survivors',
    'stranger',
    'a survivor that never shared',
    (b) => ({ ...b, survivors: [...b.survivors, 'zz'] }),
    'SECAGG_SURVIVORS',
  ),
  refused(
    'survivors',
    'other-sid',
    'survivors of another sid',
    (b) => ({ ...b, sid: otherwise(b.sid) }),
    'SECAGG_WRONG_SESSION',
  ),
  attacked(
    'survivors-second-set',
    'a second survivor set to sign, after the first',
    {
      on: 'survivors',
      tell: (tools) => {
        const body = (tools.frame.signed as Signed).body as Survivors;
        const survivors = without(body.survivors, (id) => id === tools.friends[0]?.id);
        return [tools.frame, tools.signed({ ...body, survivors })];
      },
    },
    'SECAGG_EQUIVOCATION',
    UNTIL.signatures,
  ),
  attacked(
    'survivors-skipped',
    'signatures before there was a survivor set',
    {
      on: 'survivors',
      tell: ({ frame, signed }) => {
        const { session, sid } = (frame.signed as Signed).body as Survivors;
        return [signed({ session, sid, signatures: [] }, undefined, 'signatures')];
      },
    },
    'SECAGG_WRONG_PHASE',
    UNTIL.survivors,
  ),

  refused(
    'signatures',
    'too-few',
    'three signatures where four are needed',
    (b) => ({ ...b, signatures: b.signatures.slice(0, 3) }),
    'SECAGG_SIGNATURES',
  ),
  refused(
    'signatures',
    'split-view',
    'the others’ signatures on another survivor set',
    (b, tools) => {
      const { survivors } = smaller(tools);
      return { ...b, signatures: signaturesOn(survivors, tools) };
    },
    'SECAGG_SIGNATURES',
  ),
  refused(
    'signatures',
    'twice',
    'one signature as often as needed',
    (b) => ({ ...b, signatures: b.signatures.map(() => b.signatures[0]) }),
    'SECAGG_SIGNATURES',
  ),
  refused(
    'signatures',
    'forged',
    'signatures by the coordinator in the others’ names',
    (b, { server }) => ({
      ...b,
      signatures: b.signatures.map((m) => signMessage('consistent', m.body as MessageBody<'consistent'>, server)),
    }),
    'SECAGG_SIGNATURE',
  ),
  attacked(
    'both-secrets',
    'after its answer, a second survivor set and signatures on it, which asks for the other secret of one client',
    {
      on: 'signatures',
      afterwards: true,
      tell: (tools) => {
        const { body, survivors } = smaller(tools);
        const { session, sid } = body;
        const signatures = signaturesOn(survivors, tools);
        return [
          tools.signed({ ...body, survivors }, undefined, 'survivors'),
          tools.signed({ session, sid, signatures }, undefined, 'signatures'),
        ];
      },
    },
    'SECAGG_EQUIVOCATION',
    EVERYTHING,
  ),
  attacked(
    'retransmission',
    'a list of keys twice, as after a lost connection: the same answer again',
    { on: 'keys', harmless: true, tell: ({ frame }) => [frame, frame] },
    undefined,
    EVERYTHING,
  ),
];
