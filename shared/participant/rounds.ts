import { errorCode, TacitError } from '../core/errors.ts';
import { parseMessage, roundEndedSchema, type SecaggFrame, type SitOut, secaggSchema } from '../protocol/messages.ts';
import type { ParticipantEvent } from './events.ts';
import { type RoundContext, RoundParticipant } from './round.ts';
import { type Absence, absenceAfter } from './sit-out.ts';

interface RoundsOptions {
  /** What a round works with, as it is now: roster and terms may have changed since the last one. */
  context(): RoundContext;
  /** M0 binds a checkpoint: the plan must be in that tree, and the tree must extend what this site saw. */
  checkPlanIn(config: RoundParticipant['config']): Promise<void>;
  /** Why this site does not train now; undefined: it does. */
  absence(): Promise<Absence | undefined>;
  /** Tells the coordinator not to wait for this site. */
  sitOut(message: SitOut): Promise<void>;
  emit(event: ParticipantEvent): void;
  /** Nothing that follows can be trusted. */
  fail(error: unknown): void;
}

/** This site's rounds, one at a time, on a queue of their own: a reconnection in the middle of training must not wait for it. */
export class Rounds {
  readonly #o: RoundsOptions;
  #round: RoundParticipant | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(options: RoundsOptions) {
    this.#o = options;
  }

  take(payload: unknown): void {
    const work = this.#work.then(() => this.#secagg(payload));
    this.#work = work.catch((error) => this.#o.fail(error));
  }

  /** A round's end interrupts training for it, before the message itself has its turn. */
  interruptedBy(payload: unknown): void {
    const ended = roundEndedSchema.safeParse(payload);
    if (ended.success && this.#round?.is(ended.data.round, ended.data.attempt)) this.#round.cancel();
  }

  ended(round: number, attempt: number): void {
    if (this.#round?.is(round, attempt)) this.#round = undefined;
  }

  cancel(): void {
    this.#round?.cancel();
  }

  /** Resolves when nothing of a round is going on any more. */
  async idle(): Promise<void> {
    await this.#work;
  }

  async #secagg(payload: unknown): Promise<void> {
    const frame = parseMessage(secaggSchema, payload, 'secagg');
    try {
      if (frame.name === 'config') await this.#enter(frame.signed);
      else if (this.#round?.is(frame.round, frame.attempt)) await this.#round.receive(frame.name, frame.signed);
    } catch (error) {
      await this.#leave(frame, error);
    }
  }

  async #enter(signed: unknown): Promise<void> {
    const round = new RoundParticipant(this.#o.context(), signed);
    const { round: number, attempt } = round.config;
    if (this.#round?.is(number, attempt) && !this.#round.cancelled) return this.#round.invitedAgain();
    await this.#o.checkPlanIn(round.config);
    this.#round?.cancel();
    this.#round = undefined;
    const absence = await this.#o.absence();
    if (absence !== undefined) {
      await this.#sitOut(round.config, absence);
      this.#o.emit({
        kind: 'roundEnded',
        round: number,
        outcome: 'aborted',
        reason: `${absence.code}: this site sits the round out`,
      });
      return;
    }
    this.#round = round;
    await round.start();
  }

  /** A message that is lost with its connection is no loss: the others see that this client is gone. */
  async #sitOut(
    { round, attempt }: { readonly round: number; readonly attempt: number },
    absence: Absence,
  ): Promise<void> {
    try {
      await this.#o.sitOut({ round, attempt, ...absence });
    } catch (error) {
      if (errorCode(error) !== 'CONNECTION_LOST') throw error;
    }
  }

  /** Unless only the connection failed, this session is lost for this client; the next one is a new chance. */
  async #leave(frame: SecaggFrame, error: unknown): Promise<void> {
    const code = errorCode(error);
    const connection = code === 'CONNECTION_LOST' || code === 'NOT_AUTHORISED';
    // In a running session the coordinator asks again after the next hello, and the reducer answers the same again.
    if (connection && this.#round?.advertised === true) return;
    const cancelled = this.#round?.cancelled === true;
    this.#round?.cancel();
    this.#round = undefined;
    // The others were quicker: nobody waits for what this client still had to say, and how the round ends comes with its end.
    const late = code === 'ROUND_CLOSED' || code === 'SECAGG_DEADLINE';
    if (connection || cancelled || late) return;
    if (code === 'PLAN_CLAIM_FALSE') throw error;
    await this.#sitOut(frame, absenceAfter(error));
    const reason = error instanceof TacitError ? `${error.code}: ${error.message}` : String(error);
    this.#o.emit({ kind: 'roundEnded', round: frame.round, outcome: 'aborted', reason });
  }
}
