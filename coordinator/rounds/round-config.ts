import { base64, fromHex } from '../../shared/core/bytes.ts';
import { stageMechanism } from '../../shared/protocol/commitment.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import { sentBound } from '../../shared/protocol/plan-stage.ts';
import { encodeWeightsManifest } from '../../shared/protocol/weights-manifest.ts';
import { type RosterEntry, rosterHash, type SecaggConfig } from '../../shared/secagg/messages.ts';
import { sharingParameters, signaturesNeeded } from '../../shared/secagg/parameters.ts';
import { chunkBytesOf } from '../../shared/secagg/upload-shape.ts';
import type { RunJournal } from '../runs/run-journal.ts';
import { type RunRecord, standingConsents } from '../runs/run-log.ts';

/** Everything that a session's participants must agree on before the first key goes out. Allows what it names to be downloaded. */
export async function roundConfig(
  journal: RunJournal,
  at: {
    readonly stage: number;
    readonly round: number;
    readonly attempt: number;
    readonly cohort: readonly string[];
    /** The one that the session is opened with: consents may come and go meanwhile. */
    readonly roster: readonly RosterEntry[];
  },
): Promise<SecaggConfig> {
  const { id, terms } = journal.record;
  const { stage, round, attempt, cohort, roster } = at;
  const { plan } = terms;
  const { colluders, ringBits } = plan.secureAggregation;
  const needed = survivorsNeeded(plan, cohort.length);
  const sharing = sharingParameters({ cohortSize: cohort.length, colluders, minimumCohort: needed });
  const stageTerms = journal.stageTerms(stage);
  const { phase, training } = plan.deadlines;
  return {
    protocol: 'secagg/1',
    run: id,
    round,
    attempt,
    stage,
    rosterHash: rosterHash(roster),
    cohort: [...cohort],
    weightsSha256: await offerWeights(journal, stage),
    layoutSha256: stageTerms.layoutSha256,
    ledger: await planProof(journal),
    dimension: stageTerms.dimension,
    ringBits,
    scale: stageTerms.scale,
    l2Clip: sentBound(journal.planStage(stage)),
    committedSigma: stageMechanism(terms, stage).committedSigma,
    minimumCohort: needed,
    colluders,
    threshold: sharing.threshold,
    degree: sharing.degree,
    deadlines: {
      advertiseMs: training + phase,
      sharesMs: phase,
      maskedMs: phase,
      consistentMs: phase,
      unmaskMs: phase,
    },
    chunkBytes: chunkBytesOf(ringBits),
  };
}

/** Fewest clients of a cohort with which its sum is opened: the plan's minimum, and more than half of the honest ones. */
export function survivorsNeeded({ secureAggregation }: Plan, cohortSize: number): number {
  const { colluders, minimumCohort } = secureAggregation;
  return Math.max(minimumCohort, signaturesNeeded({ cohortSize, colluders }));
}

/** Everyone whose consent stands, and who is in the round that is open, with the key that their messages are checked by. */
export function rosterEntries(record: RunRecord): RosterEntry[] {
  return standingConsents(record, record.open?.cohort).map(({ clientId, publicKey }) => ({
    clientId,
    publicKey: fromHex(publicKey),
  }));
}

/** Hash of the manifest of what this round trains. */
async function offerWeights({ ports, record, model }: RunJournal, stage: number): Promise<string> {
  const overlays = (record.stages[stage] as RunRecord['stages'][number]).overlays;
  const trainable = model.iterate;
  const manifest = await ports.store.putBlob(encodeWeightsManifest({ overlays: [...overlays], trainable }));
  for (const sha256 of [manifest, trainable, ...overlays]) ports.allowDownload(sha256);
  return manifest;
}

async function planProof({ ports, record }: RunJournal): Promise<SecaggConfig['ledger']> {
  const checkpoint = await ports.ledger.checkpoint();
  const index = record.planLedgerIndex;
  return { index, checkpoint, inclusion: ports.ledger.inclusionProof(index, ports.ledger.signedSize).map(base64) };
}
