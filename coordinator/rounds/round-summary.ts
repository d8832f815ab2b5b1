import type { RoundView } from '../../shared/protocol/views.ts';
import type { RoundSession } from './round-session.ts';

/** What is known of a round only when it has ended. */
export interface RoundEnd {
  readonly phase: 'done' | 'aborted';
  readonly reason: string | null;
  readonly ledgerIndex: number;
  readonly mergeSeconds?: number;
  readonly modelHash?: string;
}

/** A session as it is shown. @param end - absent while it goes on */
export function roundSummary(session: RoundSession, end?: RoundEnd): RoundView {
  const { funnel, seconds, bytesUpPerClient, phase } = session.summary();
  const { round, stage, attempt, dimension } = session.config;
  return {
    round,
    stage,
    attempt,
    phase: end?.phase ?? phase,
    reason: end?.reason ?? null,
    funnel,
    seconds: end?.mergeSeconds === undefined ? seconds : { ...seconds, merge: end.mergeSeconds },
    bytesUpPerClient,
    bytesDownPerClient: dimension * 4,
    modelHash: end?.modelHash ?? null,
    ledgerIndex: end?.ledgerIndex ?? null,
  };
}
