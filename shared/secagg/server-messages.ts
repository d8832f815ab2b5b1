import { type MessageBody, type ServerMessageName, type Signed, signMessage } from './messages.ts';
import type { Answer, Answers, Group, Phase, ServerState } from './server-state.ts';

/** What the server tells one client when a phase begins. */
export function phaseMessage(
  state: ServerState,
  phase: Phase,
  to: string,
): { name: ServerMessageName; signed: Signed } {
  const { group, answers, session, signer } = state;
  if (phase === 'advertise' || group === undefined) return { name: 'config', signed: state.configMessage };
  const { sidHex: sid, peers, members, survivors } = group;
  switch (phase) {
    case 'shares': {
      const advertisements = peers.map((peer) => (answers.advertise.get(peer.clientId) as Answer<'advertise'>).signed);
      return { name: 'keys', signed: signMessage('keys', { session, advertisements }, signer) };
    }
    case 'masked':
      return {
        name: 'inbox',
        signed: signMessage(
          'inbox',
          { session, sid, members: [...members], shares: inboxOf(group, answers, to) },
          signer,
        ),
      };
    case 'consistent':
      return {
        name: 'survivors',
        signed: signMessage('survivors', { session, sid, survivors: [...survivors] }, signer),
      };
    case 'unmask': {
      const signatures = survivors.flatMap((id) => answers.consistent.get(id)?.signed ?? []);
      return { name: 'signatures', signed: signMessage('signatures', { session, sid, signatures }, signer) };
    }
  }
}

/** What the neighbours of `to` that shared sealed for it, in the order of the members. */
function inboxOf(group: Group, answers: Answers, to: string): MessageBody<'inbox'>['shares'] {
  const position = group.positions.get(to) as number;
  return group.graph.neighbours(position).flatMap((p) => {
    const dealer = (group.peers[p] as MessageBody<'advertise'>).clientId;
    if (!group.membersSet.has(dealer)) return [];
    const entry = answers.shares.get(dealer)?.body.shares[group.graph.shareOf(p, position) - 1];
    if (entry === undefined) return [];
    const { to: _, ...dealt } = entry;
    return [{ from: dealer, ...dealt }];
  });
}
