import { canonicalJson } from '../core/canonical.ts';
import type { Store } from './port.ts';

/**
 * One writer's view of a stream of JSON events: replays it at open, then appends. `E` is trusted here because only this
 * code wrote it; what other people sent was parsed before it became an event.
 */
export class EventLog<E> {
  readonly stream: string;
  readonly #store: Store;
  #head: number;
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(store: Store, stream: string, head: number) {
    this.#store = store;
    this.stream = stream;
    this.#head = head;
  }

  static async open<E>(
    store: Store,
    stream: string,
  ): Promise<{ readonly log: EventLog<E>; readonly events: readonly E[] }> {
    const stored = await store.read(stream);
    return { log: new EventLog<E>(store, stream, stored.length), events: stored.map((s) => JSON.parse(s.text) as E) };
  }

  /** Number of events appended so far. */
  get length(): number {
    return this.#head;
  }

  /** Resolves when the event is durable. Calls keep their order. @throws STORE_CONFLICT when another process owns the stream */
  append(event: E, opId?: string): Promise<void> {
    const seq = this.#head++;
    const text = canonicalJson(event);
    const appended = this.#tail.then(() => this.#store.append(this.stream, seq, { opId: opId ?? `${seq}`, text }));
    this.#tail = appended;
    return appended.then(() => undefined);
  }
}
