import { z } from 'zod';
import { hex } from '../core/bytes.ts';
import { type Consent, consentSchema, type Refusal, refusalSchema } from '../protocol/messages.ts';
import type { ClientRecord } from '../secagg/client-checks.ts';
import { EventLog } from '../store/log.ts';
import type { Store } from '../store/port.ts';

/** What a participant must not forget, whatever happens to its process. Appended before the message that depends on it leaves. */
export type MemoryEvent =
  /** The coordinator's ledger as last verified: nothing older or forked is accepted after it. */
  | {
      readonly type: 'seen';
      readonly key: string;
      readonly size: number;
      readonly root: string;
      readonly checkpoint: string;
    }
  | { readonly type: 'consented'; readonly run: string; readonly planHash: string; readonly consent: Consent }
  /** A consent taken back, as it was signed: said again word for word until the coordinator has it. */
  | { readonly type: 'withdrew'; readonly run: string; readonly refusal: Refusal }
  /** Secure aggregation: sessions are entered once, survivor sets signed once, secrets answered once. */
  | { readonly type: 'secagg'; readonly record: ClientRecord };

const text = z.string();
const whole = z.number().int().min(0);
const memoryEvent: z.ZodType<MemoryEvent> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('seen'), key: text, size: whole, root: text, checkpoint: text }),
  z.object({ type: z.literal('consented'), run: text, planHash: text, consent: consentSchema }),
  z.object({ type: z.literal('withdrew'), run: text, refusal: refusalSchema }),
  z.object({
    type: z.literal('secagg'),
    record: z.object({
      run: text,
      round: whole,
      attempt: whole,
      session: text,
      step: z.enum(['joined', 'masked', 'signed', 'answered']),
      survivorsHash: text.nullable(),
    }),
  }),
]);

interface Seen {
  readonly size: number;
  readonly root: string;
  readonly checkpoint: string;
}

export class ParticipantMemory {
  readonly #log: EventLog<MemoryEvent>;
  readonly #seen = new Map<string, Seen>();
  readonly #consents = new Map<string, Extract<MemoryEvent, { type: 'consented' }>>();
  readonly #withdrawals = new Map<string, Refusal>();
  readonly #secagg = new Map<string, ClientRecord>();
  readonly #answered = new Set<string>();

  private constructor(log: EventLog<MemoryEvent>, events: readonly MemoryEvent[]) {
    this.#log = log;
    for (const event of events) this.#apply(event);
  }

  static async open(store: Store): Promise<ParticipantMemory> {
    const { log, events } = await EventLog.open(store, 'participant', memoryEvent);
    return new ParticipantMemory(log, events);
  }

  /** The largest state that was verified of this coordinator's ledger, under whichever of its keys. */
  seen(keys: readonly Uint8Array[]): Seen | undefined {
    const all = keys.flatMap((key) => this.#seen.get(hex(key)) ?? []);
    return all.reduce<Seen | undefined>(
      (largest, s) => (largest === undefined || s.size >= largest.size ? s : largest),
      undefined,
    );
  }

  /** What was consented to, signed: said again word for word after a restart. */
  consent(run: string): { readonly planHash: string; readonly consent: Consent } | undefined {
    return this.#consents.get(run);
  }

  /** Whether this site ever agreed to anything. */
  get hasConsented(): boolean {
    return this.#consents.size > 0;
  }

  /** Signed, when this site took its consent to `run` back. That is for good. */
  withdrawal(run: string): Refusal | undefined {
    return this.#withdrawals.get(run);
  }

  /** What was last persisted of secure aggregation in `run`. */
  lastSession(run: string): ClientRecord | undefined {
    return this.#secagg.get(run);
  }

  /** True when shares left this site in `run`: a sum with its data may be open, whatever the coordinator says. */
  answeredIn(run: string): boolean {
    return this.#answered.has(run);
  }

  async record(event: MemoryEvent): Promise<void> {
    await this.#log.append(event);
    this.#apply(event);
  }

  #apply(event: MemoryEvent): void {
    if (event.type === 'seen') this.#seen.set(event.key, event);
    else if (event.type === 'consented') this.#consents.set(event.run, event);
    else if (event.type === 'withdrew') this.#withdrawals.set(event.run, event.refusal);
    else {
      const { run, step } = event.record;
      this.#secagg.set(run, event.record);
      if (step === 'answered') this.#answered.add(run);
    }
  }
}
