import { equalBytes, fromHex } from '../core/bytes.ts';
import { clientOfLog } from './client-name.ts';
import { type Entry, parseRoster, rosterHash } from './entries.ts';
import type { EntryContext, Findings } from './verify-findings.ts';

/** Who may sign what: rosters, and everything that clients sign under the keys that rosters give them. */
export class PeopleVerifier {
  readonly #findings: Findings;
  readonly #context: EntryContext;
  /** Every key that some roster gave a client. */
  readonly #members = new Map<string, Set<string>>();
  /** Keys that were handed over or ended, and the entry that says so: nothing counts under them from there on. */
  readonly #retired = new Map<string, number>();
  readonly #unlisted: { readonly index: number; readonly clientId: string; readonly publicKey: string }[] = [];
  /** Hashes of all rosters so far. */
  readonly #rosters = new Set<string>();
  /** Keys that a client came to by a change of key. */
  readonly #followed = new Set<string>();

  constructor(findings: Findings, context: EntryContext) {
    this.#findings = findings;
    this.#context = context;
  }

  roster(entry: Entry<'roster.update'>): void {
    this.#rosters.add(entry.rosterHash);
    const document = entry.members === null ? this.#findings.document('rosters', entry.rosterHash) : undefined;
    // The blob is the RFC 8785 text of the sorted members, so its SHA-256 is the roster's hash; only then is it read.
    const actual = entry.members !== null ? rosterHash(entry.members) : (document?.sha256 ?? entry.rosterHash);
    const members =
      entry.members ?? (document !== undefined && actual === entry.rosterHash ? parseRoster(document.bytes) : []);
    if (members === undefined)
      this.#findings.fail('ROSTER_WRONG', 'the roster is no list of members', 'members', 'something else');
    if (actual !== entry.rosterHash)
      this.#findings.fail('ROSTER_WRONG', 'the members do not have the hash of the roster', entry.rosterHash, actual);
    for (const { clientId, publicKey } of members ?? [])
      this.#members.set(clientId, (this.#members.get(clientId) ?? new Set()).add(publicKey));
  }

  /** Of a client: its new key is as good as one that a roster gives it, from here on; the old one signs nothing more. */
  handover({ change }: Entry<'key.rotate'>): void {
    const clientId = change.role === 'log' ? clientOfLog(change.name) : undefined;
    if (clientId === undefined) return;
    this.#memberKey(clientId, change.oldPublicKey);
    this.#retired.set(`${clientId}/${change.oldPublicKey}`, this.#findings.index);
    this.#followed.add(`${clientId}/${change.newPublicKey}`);
  }

  /** The coordinator's word alone. */
  revoke({ clientId, publicKey, organisation, reason }: Entry<'key.revoke'>): void {
    this.#memberKey(clientId, publicKey);
    this.#retired.set(`${clientId}/${publicKey}`, this.#findings.index);
    this.#findings.note(
      `the key of client ${clientId} (${organisation}) was ended and its seat given to the holder of an invitation, by the coordinator’s word alone: ${reason}`,
    );
  }

  consent(entry: Entry<'consent'>): void {
    this.#findings.signed('consent', entry.document, entry.publicKey, entry.signature, `client ${entry.clientId}`);
    this.#memberKey(entry.clientId, entry.publicKey);
    for (const field of ['run', 'planHash'] as const) {
      if (entry.document[field] !== entry[field])
        this.#findings.fail(
          'CONSENT_OTHER',
          `the signed consent is to another ${field}`,
          entry[field],
          String(entry.document[field]),
        );
    }
  }

  refusal(entry: Entry<'refusal'>): void {
    if (entry.statement === null) return;
    const { document, publicKey, signature } = entry.statement;
    this.#findings.signed('refusal', document, publicKey, signature, `client ${entry.by}`);
    this.#memberKey(entry.by, publicKey);
  }

  release({ rosterHash: hash }: Entry<'round.release'>): void {
    if (this.#rosters.size === 0 || this.#rosters.has(hash)) return;
    const known = [...this.#rosters].join(' or ');
    this.#findings.fail('ROSTER_UNKNOWN', 'the round ran with a roster that was never logged', known, hash);
  }

  countersignature(entry: Entry<'countersignature'>): void {
    const { document, publicKey, signature, clientId } = entry;
    this.#findings.signed('countersignature', document, publicKey, signature, `client ${clientId}`);
    this.#memberKey(clientId, publicKey);
    const { origin, leafHash } = this.#context;
    if (document.origin !== origin)
      this.#findings.fail('COUNTERSIGNATURE_OTHER', 'it is about another log', origin, document.origin);
    const earlier = document.index < this.#findings.index;
    if (earlier && equalBytes(leafHash(document.index), fromHex(document.leafHash))) return;
    this.#findings.fail(
      'COUNTERSIGNATURE_OTHER',
      `client ${clientId} saw another entry ${document.index}`,
      document.leafHash,
      'the entry in this log',
    );
  }

  /** Once all rosters are known: those who signed with a key that none of them gives. */
  finish(): void {
    for (const { index, clientId, publicKey } of this.#unlisted) {
      const known = this.#members.get(clientId);
      if (known?.has(publicKey)) continue;
      if (known === undefined)
        this.#findings.unchecked.push(`entry ${index}: the key of client ${clientId} is in no roster of this ledger`);
      else
        this.#findings.fail(
          'KEY_UNKNOWN',
          `client ${clientId} signed with a key that no roster gives it`,
          [...known].join(' or '),
          publicKey,
          index,
        );
    }
  }

  /** A key is right when some roster gives it to the client; rosters may be logged after the consent that fills them. */
  #memberKey(clientId: string, publicKey: string): void {
    const key = `${clientId}/${publicKey}`;
    const ended = this.#retired.get(key);
    if (ended !== undefined)
      this.#findings.fail(
        'KEY_RETIRED',
        `client ${clientId} signed with a key that it gave up`,
        `another key since entry ${ended}`,
        publicKey,
      );
    if (this.#followed.has(key)) return;
    if (!this.#members.get(clientId)?.has(publicKey))
      this.#unlisted.push({ index: this.#findings.index, clientId, publicKey });
  }
}
