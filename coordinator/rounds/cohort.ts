import { TacitError } from '../../shared/core/errors.ts';
import { shuffle } from '../../shared/core/rng.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { RunJournal } from './run-journal.ts';

const WAIT_MS = 100;

/**
 * Waits for enough participants.
 * @param givenUp - true when nobody waits any more: the run is to stop, or the process
 * @returns sorted ids; undefined when given up
 * @throws COHORT_TOO_SMALL after the plan's join deadline
 */
export async function assembleCohort(
  journal: RunJournal,
  givenUp: () => boolean,
): Promise<readonly string[] | undefined> {
  const { ports, record } = journal;
  const { plan } = record.terms;
  const until = ports.clock.now() + plan.deadlines.join;
  const first = record.roundsCounted === 0;
  const wanted = first ? plan.clients.minimum : Math.max(5, plan.secureAggregation.minimumCohort);
  for (;;) {
    if (givenUp()) return undefined;
    const connected = ports.connected();
    const ready = [...journal.record.consented.keys()].filter((id) => connected.has(id));
    if (ready.length >= wanted) return shuffle(ports.rng, ready).slice(0, plan.secureAggregation.maximumCohort).sort();
    if (ports.clock.now() > until) {
      throw new TacitError<ProtocolErrorCode>(
        'COHORT_TOO_SMALL',
        `${ready.length} of ${wanted} participants are here after ${plan.deadlines.join / 1000} s`,
        {
          where: `round ${record.roundsCounted + 1}`,
          fix: 'Bring the others back and create the run again, or raise deadlines.join.',
        },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  }
}
