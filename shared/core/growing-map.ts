/**
 * A map that only grows. `with` gives a new map and leaves this one as it was, like a copy, but shares the entries: a fold
 * over n events costs n steps, not n². Growing a map that is not the newest copies it.
 */
export class GrowingMap<K, V> implements ReadonlyMap<K, V> {
  readonly size: number;
  /** Entries of this map and of those grown from it; this one's are the first `size`. */
  readonly #shared: Map<K, { readonly at: number; readonly value: V }>;

  private constructor(shared: Map<K, { readonly at: number; readonly value: V }>, size: number) {
    this.#shared = shared;
    this.size = size;
  }

  static of<K, V>(entries: Iterable<readonly [K, V]> = []): GrowingMap<K, V> {
    const shared = new Map<K, { at: number; value: V }>();
    for (const [key, value] of entries) if (!shared.has(key)) shared.set(key, { at: shared.size, value });
    return new GrowingMap(shared, shared.size);
  }

  /** This map and one entry more; the first entry of a key stays. */
  with(key: K, value: V): GrowingMap<K, V> {
    if (this.has(key)) return this;
    if (this.#shared.size !== this.size) return GrowingMap.of(this).with(key, value);
    this.#shared.set(key, { at: this.size, value });
    return new GrowingMap(this.#shared, this.size + 1);
  }

  get(key: K): V | undefined {
    const entry = this.#shared.get(key);
    return entry !== undefined && entry.at < this.size ? entry.value : undefined;
  }

  has(key: K): boolean {
    const entry = this.#shared.get(key);
    return entry !== undefined && entry.at < this.size;
  }

  *entries(): MapIterator<[K, V]> {
    for (const [key, { at, value }] of this.#shared) {
      if (at >= this.size) return;
      yield [key, value];
    }
  }

  *keys(): MapIterator<K> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  forEach(visit: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this.entries()) visit(value, key, this);
  }
}
