import type { Terms } from '../../shared/protocol/terms.ts';
import type { EvaluationView, RoundView } from '../../shared/protocol/views.ts';

/** A participant's consent as the run remembers it. */
export interface ConsentedClient {
  readonly clientId: string;
  /** Hex of the Ed25519 key. */
  readonly publicKey: string;
  readonly organisation: string;
  /** Null where the client is the unit of privacy: it does not say. */
  readonly records: number | null;
  /** Privacy units among them: records, persons, or 1 for the client itself. */
  readonly units: number;
  readonly engine: string;
  /** Index of the consent entry in the ledger. */
  readonly ledgerIndex: number;
}

/** What the server's optimizer and the published iterate look like after a round; each a blob in the store. */
export interface ModelPointer {
  /** SHA-256 of the flat trainable vector (float32 little-endian) that the next round starts from. */
  readonly iterate: string;
  /** SHA-256 of the vector that is evaluated and published: the mean of the last iterates. */
  readonly candidate: string;
  /** SHA-256 of the serialised optimizer and averaging state. */
  readonly optimizer: string;
}

/** What the run holds of its budget, and the entry that says so. */
export interface Reserved {
  readonly reservation: string;
  readonly index: number;
}

/** Events of stream `run/<id>`. The state of a run is their fold, so a restart is a replay. */
export type RunEvent =
  | {
      readonly type: 'created';
      readonly id: string;
      readonly at: string;
      readonly terms: Terms;
      readonly ledgerIndex: number;
      readonly reserved: Reserved | null;
      readonly heldOut: { readonly validation: string; readonly test: string };
    }
  | ({ readonly type: 'consented'; readonly at: string } & ConsentedClient)
  /** The client changed its key; its consent stands. */
  | { readonly type: 'rekeyed'; readonly at: string; readonly clientId: string; readonly publicKey: string }
  | {
      readonly type: 'refused';
      readonly at: string;
      readonly clientId: string;
      readonly organisation: string;
      readonly code: string;
      readonly reason: string;
    }
  | {
      readonly type: 'stageStarted';
      readonly stage: number;
      readonly at: string;
      readonly overlays: readonly string[];
      readonly carried: readonly string[];
      readonly model: ModelPointer;
    }
  | {
      readonly type: 'roundStarted';
      readonly at: string;
      readonly round: number;
      readonly stage: number;
      readonly attempt: number;
      readonly cohort: readonly string[];
      /** Hash of the ledger's roster entry that the session rests on. */
      readonly rosterHash: string;
    }
  | { readonly type: 'roundAborted'; readonly at: string; readonly summary: RoundView; readonly counted: boolean }
  | { readonly type: 'released'; readonly at: string; readonly summary: RoundView; readonly model: ModelPointer }
  | { readonly type: 'evaluated'; readonly evaluation: EvaluationView; readonly candidate: string }
  | { readonly type: 'finished'; readonly at: string; readonly model: string }
  | { readonly type: 'stopped'; readonly at: string; readonly reason: string }
  | { readonly type: 'failed'; readonly at: string; readonly reason: string };

/** The fold of a run's events. */
export interface RunRecord {
  readonly id: string;
  readonly createdAt: string;
  readonly terms: Terms;
  readonly planLedgerIndex: number;
  /** Null for a run that promises no privacy: it charges no budget. */
  readonly reserved: Reserved | null;
  /** Blobs of the coordinator's own labelled texts. */
  readonly heldOut: { readonly validation: string; readonly test: string };
  readonly consented: ReadonlyMap<string, ConsentedClient>;
  readonly refused: ReadonlyMap<string, { readonly organisation: string; readonly reason: string }>;
  /** Of those who consented, who took it back. They stay in `consented`: a round that was under way may still count them. */
  readonly withdrawn: ReadonlySet<string>;
  /** Stage in progress; -1 before the first. */
  readonly stage: number;
  /** Each stage that was started: its overlays (safetensors blobs, oldest first), and those of them that earlier stages brought. */
  readonly stages: readonly { readonly overlays: readonly string[]; readonly carried: readonly string[] }[];
  readonly model: ModelPointer | undefined;
  /** Trainable vectors of this stage's released rounds, oldest first: what the average is over. */
  readonly iterates: readonly string[];
  /** Rounds that count, over all stages: released, or aborted after something may have been revealed. */
  readonly roundsCounted: number;
  /** A round that was started and has not ended. */
  readonly open:
    | {
        readonly round: number;
        readonly stage: number;
        readonly attempt: number;
        readonly cohort: readonly string[];
        readonly rosterHash: string;
      }
    | undefined;
  readonly rounds: readonly RoundView[];
  readonly evaluations: readonly (EvaluationView & { readonly candidate: string })[];
  readonly ended:
    | {
        readonly state: 'finished' | 'stopped' | 'failed';
        readonly reason: string | null;
        readonly model: string | null;
      }
    | undefined;
}

/** @throws never: an event that does not apply (only `created` first) is a programming error and asserts. */
export function foldRun(record: RunRecord | undefined, event: RunEvent): RunRecord {
  if (event.type === 'created') {
    return {
      id: event.id,
      createdAt: event.at,
      terms: event.terms,
      planLedgerIndex: event.ledgerIndex,
      reserved: event.reserved,
      heldOut: event.heldOut,
      consented: new Map(),
      refused: new Map(),
      withdrawn: new Set(),
      stage: -1,
      stages: [],
      model: undefined,
      iterates: [],
      roundsCounted: 0,
      open: undefined,
      rounds: [],
      evaluations: [],
      ended: undefined,
    };
  }
  if (record === undefined) throw new Error(`run event ${event.type} before created`);
  switch (event.type) {
    case 'consented': {
      const { type: _, at: __, ...client } = event;
      return { ...record, consented: new Map(record.consented).set(client.clientId, client) };
    }
    case 'rekeyed': {
      const { clientId, publicKey } = event;
      const client = record.consented.get(clientId);
      if (client === undefined) return record;
      return { ...record, consented: new Map(record.consented).set(clientId, { ...client, publicKey }) };
    }
    case 'refused':
      // A "no" after a consent takes it back.
      if (record.consented.has(event.clientId))
        return { ...record, withdrawn: new Set(record.withdrawn).add(event.clientId) };
      return {
        ...record,
        refused: new Map(record.refused).set(event.clientId, {
          organisation: event.organisation,
          reason: event.reason,
        }),
      };
    case 'stageStarted':
      return {
        ...record,
        stage: event.stage,
        stages: [...record.stages, { overlays: event.overlays, carried: event.carried }],
        model: event.model,
        iterates: [],
      };
    case 'roundStarted': {
      const { round, stage, attempt, cohort, rosterHash } = event;
      return { ...record, open: { round, stage, attempt, cohort, rosterHash } };
    }
    case 'roundAborted':
      return {
        ...record,
        open: undefined,
        rounds: [...record.rounds, event.summary],
        roundsCounted: record.roundsCounted + (event.counted ? 1 : 0),
      };
    case 'released':
      return {
        ...record,
        open: undefined,
        rounds: [...record.rounds, event.summary],
        roundsCounted: record.roundsCounted + 1,
        iterates: [...record.iterates, event.model.iterate],
        model: event.model,
      };
    case 'evaluated':
      return { ...record, evaluations: [...record.evaluations, { ...event.evaluation, candidate: event.candidate }] };
    case 'finished':
      return { ...record, ended: { state: 'finished', reason: null, model: event.model } };
    case 'stopped':
    case 'failed':
      return { ...record, open: undefined, ended: { state: event.type, reason: event.reason, model: null } };
  }
}

/** Who consented and has not taken it back. @param besides - ids that count all the same */
export function standingConsents(
  { consented, withdrawn }: Pick<RunRecord, 'consented' | 'withdrawn'>,
  besides: readonly string[] = [],
): readonly ConsentedClient[] {
  return [...consented.values()].filter((c) => !withdrawn.has(c.clientId) || besides.includes(c.clientId));
}
