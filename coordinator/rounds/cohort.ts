import { isoTime } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { shuffle } from '../../shared/core/rng.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import { leastCohort } from '../../shared/protocol/plan.ts';
import type { RunJournal } from '../runs/run-journal.ts';
import { standingConsents } from '../runs/run-log.ts';
import { survivorsNeeded } from './round-config.ts';

const WAIT_MS = 100;

/** Chooses who takes part in a round, and waits while too few are here. */
export class CohortAssembly {
  readonly #journal: RunJournal;
  /** Clients that sat a round out, and until when it is no use to ask them again. */
  readonly #resting = new Map<string, number>();
  #waiting: string | undefined;

  constructor(journal: RunJournal) {
    this.#journal = journal;
  }

  /** In words, what the run waits for; undefined while it does not wait. */
  get waiting(): string | undefined {
    return this.#waiting;
  }

  /** A client that sat out is not counted on for a while. */
  rest(clientId: string, milliseconds: number): void {
    this.#resting.set(clientId, this.#journal.ports.clock.now() + milliseconds);
  }

  /**
   * @param givenUp - true when nobody waits any more: the run is to stop, or the process
   * @returns sorted ids; undefined when given up
   * @throws COHORT_TOO_SMALL after the plan's join deadline
   */
  async assemble(givenUp: () => boolean): Promise<readonly string[] | undefined> {
    const { ports, record } = this.#journal;
    const { plan } = record.terms;
    const until = ports.clock.now() + plan.deadlines.join;
    const wanted = record.roundsCounted === 0 ? plan.clients.minimum : leastCohort(plan);
    try {
      while (!givenUp()) {
        const { here, counted } = this.#ready();
        const cohort = counted.length >= wanted ? counted : here.length >= wanted && this.#bears(here, counted) && here;
        if (cohort)
          return shuffle(ports.rng, [...cohort])
            .slice(0, plan.secureAggregation.maximumCohort)
            .sort();
        if (ports.clock.now() > until) throw tooFew(counted.length, wanted, this.#journal);
        this.#say(
          `${counted.length} of ${wanted} participants can take part; the run goes on when ${wanted - counted.length} more can, and ends at ${isoTime({ now: () => until }).replace(/\.\d+Z$/, 'Z')} otherwise`,
        );
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      }
      return undefined;
    } finally {
      this.#say(undefined);
    }
  }

  /** Who consented and is here, and which of them can be counted on. */
  #ready(): { readonly here: readonly string[]; readonly counted: readonly string[] } {
    const { ports, record } = this.#journal;
    const connected = ports.connected();
    const here = standingConsents(record).flatMap(({ clientId }) => (connected.has(clientId) ? [clientId] : []));
    const now = ports.clock.now();
    return { here, counted: here.filter((id) => (this.#resting.get(id) ?? 0) <= now) };
  }

  /** True when a round over all who are here succeeds without those who are likely to sit out again. */
  #bears(here: readonly string[], counted: readonly string[]): boolean {
    const { plan } = this.#journal.record.terms;
    const size = Math.min(here.length, plan.secureAggregation.maximumCohort);
    return size === here.length && counted.length >= survivorsNeeded(plan, size);
  }

  #say(waiting: string | undefined): void {
    if (waiting === this.#waiting) return;
    this.#waiting = waiting;
    this.#journal.ports.changed();
  }
}

function tooFew(ready: number, wanted: number, { record }: RunJournal): TacitError<ProtocolErrorCode> {
  const { join } = record.terms.plan.deadlines;
  return new TacitError('COHORT_TOO_SMALL', `${ready} of ${wanted} participants are here after ${join / 1000} s`, {
    where: `round ${record.roundsCounted + 1}`,
    fix: 'Bring the others back and create the run again, or raise deadlines.join.',
  });
}
