import { base64, fromHex } from '../../shared/core/bytes.ts';
import { errorCode } from '../../shared/core/errors.ts';
import { type RosterMember, rosterHash } from '../../shared/ledger/entries.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import type { RunView } from '../../shared/protocol/views.ts';
import { ledgerProof } from '../rounds/ledger-proofs.ts';
import { type RunRecord, standingConsents } from '../runs/run-log.ts';
import type { RunPorts } from '../runs/run-ports.ts';
import type { Participants } from './participants.ts';

/** What connected participants are told, each with the proof that they need from where they last looked. */
export class Announcements {
  readonly #ledger: Ledger;
  readonly #participants: Participants;

  constructor(ledger: Ledger, participants: Participants) {
    this.#ledger = ledger;
    this.#participants = participants;
  }

  async roundEnded(run: string, { index, ...ended }: Parameters<RunPorts['announceRound']>[0]): Promise<void> {
    for (const live of this.#live(run))
      live.connection.send('roundEnded', { ...ended, proof: await ledgerProof(this.#ledger, index, live.seen) });
  }

  async runEnded(run: RunView, index: number): Promise<void> {
    for (const live of this.#live(run.id))
      live.connection.send('runEnded', { run, proof: await ledgerProof(this.#ledger, index, live.seen) });
  }

  /** The whole membership as an entry, when it is not the last one already; then to everyone connected. Its hash. */
  async roster(record: RunRecord): Promise<string> {
    const members = rosterMembers(record);
    const hash = rosterHash(members);
    for (let written = false; !written; ) {
      const expectedSize = this.#ledger.size;
      const last = await this.#lastRoster();
      if (last?.rosterHash === hash) break;
      const approvers = [...(last?.approvers ?? [])];
      try {
        await this.#ledger.append(
          { kind: 'roster.update', rosterHash: hash, members, approvers },
          `roster/${record.id}/${expectedSize}/${hash}`,
          { expectedSize },
        );
        written = true;
      } catch (error) {
        // Somebody appended meanwhile, perhaps other approvers: look again, so that none is put back or dropped.
        if (errorCode(error) !== 'LEDGER_MOVED') throw error;
        await this.#ledger.refresh();
      }
    }
    for (const clientId of this.#participants.connectedTo(record.id)) await this.rosterTo(clientId, record);
    return hash;
  }

  /** Sends the roster to one who is on it and has not seen it. */
  async rosterTo(clientId: string, record: RunRecord): Promise<void> {
    const live = this.#participants.live(clientId);
    const roster = await this.#lastRoster();
    const members = rosterMembers(record);
    if (
      live === undefined ||
      roster === undefined ||
      live.roster === roster.rosterHash ||
      roster.rosterHash !== rosterHash(members)
    )
      return;
    if (!members.some((m) => m.clientId === clientId)) return;
    live.roster = roster.rosterHash;
    live.connection.send('roster', {
      clients: members,
      proof: await ledgerProof(this.#ledger, roster.index, live.seen),
    });
  }

  #live(run: string) {
    return [...this.#participants.connectedTo(run)].flatMap((id) => this.#participants.live(id) ?? []);
  }

  async #lastRoster() {
    for (const { entry, index } of [...(await this.#ledger.entries(0))].reverse())
      if (entry.kind === 'roster.update') return { ...entry, index };
    return undefined;
  }
}

function rosterMembers(record: RunRecord): RosterMember[] {
  return standingConsents(record)
    .map(({ clientId, organisation, publicKey }) => ({ clientId, organisation, publicKey: base64(fromHex(publicKey)) }))
    .sort((a, b) => (a.clientId < b.clientId ? -1 : 1));
}
