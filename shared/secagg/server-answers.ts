import { bytes, type MessageBody, openMessage, type RosterEntry, survivorsHash } from './messages.ts';
import { openedSeed, surplusCount } from './noise-seeds.ts';
import * as checks from './server-checks.ts';
import type { Answers, Group, Phase, ServerState } from './server-state.ts';

/** Opens and checks one client's message for the phase. @throws SECAGG_* */
export function openAnswer(state: ServerState, from: string, name: Phase, signed: unknown): MessageBody<Phase> {
  const body = openMessage(name, signed, (state.roster.get(from) as RosterEntry).publicKey);
  const { group, session, config, answers } = state;
  checks.checkAddress(body, { session, sid: group?.sidHex, from }, name);
  if (name === 'advertise') {
    checks.checkKeys(body as MessageBody<'advertise'>, state.advertisedKeys);
    return body;
  }
  const known = group as Group;
  const position = known.positions.get(from) as number;
  if (name === 'shares') {
    const holders = checks.holderNames(known.graph, position, known.peers);
    checks.checkShares(body as MessageBody<'shares'>, holders, surplusCount(known.ladder));
  }
  if (name === 'masked') checks.checkManifest(body as MessageBody<'masked'>, config);
  if (name === 'consistent')
    checks.checkSigned(body as MessageBody<'consistent'>, survivorsHash(known.sidHex, known.survivors));
  if (name === 'unmask') checkUnmask(known, answers, from, body as MessageBody<'unmask'>);
  return body;
}

/** Every answer is due, and every share opens what its dealer committed to. */
function checkUnmask(group: Group, answers: Answers, from: string, body: MessageBody<'unmask'>): void {
  const position = group.positions.get(from) as number;
  const due = new Map<string, 'seed' | 'key'>();
  for (const p of group.graph.holders(position)) {
    const dealer = (group.peers[p] as MessageBody<'advertise'>).clientId;
    if (group.membersSet.has(dealer)) due.set(dealer, group.survivorsSet.has(dealer) ? 'seed' : 'key');
  }
  const opened = openedSeed(group.ladder, group.survivors.length);
  checks.checkAnswers(body, due, opened !== undefined);
  for (const answer of body.shares) {
    if (answer.kind === 'complaint') continue;
    const x = group.graph.shareOf(group.positions.get(answer.of) as number, position);
    const dealt = answers.shares.get(answer.of)?.body.shares[x - 1] as MessageBody<'shares'>['shares'][number];
    const label = { sid: group.sid, from: answer.of, to: from, x };
    const { kind } = answer;
    checks.checkShare(label, kind, answer, bytes(kind === 'seed' ? dealt.seedCommitment : dealt.keyCommitment));
    if (kind === 'seed' && answer.surplus !== null && opened !== undefined) {
      const commitment = dealt.surplusCommitments[opened] as string;
      checks.checkShare(label, `surplus ${opened + 1}`, answer.surplus, bytes(commitment));
    }
  }
}
