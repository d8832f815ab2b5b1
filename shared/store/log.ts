import { z } from 'zod';
import { canonicalJson } from '../core/canonical.ts';
import { TacitError } from '../core/errors.ts';
import type { Store, StoredEvent, StoreErrorCode } from './port.ts';

/**
 * One writer's view of a stream of JSON events: replays it at open, then appends. What is read back is parsed: a store is
 * restored from backups, edited and upgraded by others, and an event that is no event must not become a state.
 */
export class EventLog<E> {
  readonly stream: string;
  readonly #store: Store;
  readonly #schema: z.ZodType<E>;
  #head: number;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(store: Store, stream: string, schema: z.ZodType<E>, head: number) {
    this.#store = store;
    this.stream = stream;
    this.#schema = schema;
    this.#head = head;
  }

  /** @throws STORE_CORRUPT naming the stream and the first event that is not of `schema` */
  static async open<E>(
    store: Store,
    stream: string,
    schema: z.ZodType<E>,
  ): Promise<{ readonly log: EventLog<E>; readonly events: readonly E[] }> {
    const stored = await store.read(stream);
    return { log: new EventLog<E>(store, stream, schema, stored.length), events: stored.map((s) => parsed(s, schema)) };
  }

  /** Number of events appended so far. */
  get length(): number {
    return this.#head;
  }

  /**
   * Resolves when the event is durable. Calls keep their order.
   * @throws STORE_CONFLICT when another process owns the stream; STORE_CORRUPT, now and not at the next start, for an event that
   *   could not be read back: nothing is written
   */
  async append(event: E, opId?: string): Promise<void> {
    const text = canonicalJson(event);
    parsed({ stream: this.stream, seq: this.#head, text }, this.#schema);
    const seq = this.#head++;
    const appended = this.#tail.then(() => this.#store.append(this.stream, seq, { opId: opId ?? `${seq}`, text }));
    this.#tail = appended;
    await appended;
  }
}

/** An object of which these fields are checked; what else it holds is kept as it was written. */
export function holding<T>(fields: z.ZodRawShape): z.ZodType<T> {
  return z.looseObject(fields) as unknown as z.ZodType<T>;
}

function parsed<E>({ stream, seq, text }: Pick<StoredEvent, 'stream' | 'seq' | 'text'>, schema: z.ZodType<E>): E {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new TacitError<StoreErrorCode>(
    'STORE_CORRUPT',
    `the stored event is none: ${issue?.path.join('.') || '(event)'}: ${issue?.message ?? 'invalid'}`,
    {
      where: `stream ${stream}, event ${seq}`,
      fix: 'Restore the store from a backup, and keep this copy as evidence.',
    },
  );
}
