import type { BatchShape } from './batch.ts';
import { meanLayersOf } from './parameters.ts';
import type { CreateBert, TokenBatch } from './types.ts';

/** What the programs above the frozen blocks are fed in place of embeddings. */
export const FROZEN_ROWS = 'frozen';
/** And, for a mean head that reads a frozen layer too, that layer's mean. */
export function frozenMean(layer: number): string {
  return `mean:${layer}`;
}

export const FROZEN_BYTES = 256 * 2 ** 20;

/** Encoder blocks below the lowest one that trains; 0 where embeddings or the first block do, and for the head alone (features.ts). */
export function frozenBlocks(trainedNames: Iterable<string>, { trainable }: CreateBert): number {
  if (trainable === 'head') return 0;
  let lowest = Number.POSITIVE_INFINITY;
  for (const name of trainedNames) {
    const block = /encoder\.layer\.(\d+)\./.exec(name)?.[1];
    if (block !== undefined) lowest = Math.min(lowest, Number(block));
    else if (name.includes('.embeddings.')) return 0;
  }
  return Number.isFinite(lowest) ? lowest : 0;
}

/** Layers below the lowest block that trains whose means the head reads. */
export function frozenMeanLayers({ head, config }: Pick<CreateBert, 'head' | 'config'>, from: number): number[] {
  return head === 'mean' ? meanLayersOf(config).filter((layer) => layer < from) : [];
}

type Rows = Map<string, Float32Array>;

/**
 * The output of the frozen blocks, computed once for a record and kept up to a bound on bytes; the record least
 * recently used makes room. A record is known by its tokens, so the same text is never computed twice. Only rows up to
 * the last unmasked token are kept: what stands behind has a weight of exactly 0 above.
 */
export class FrozenPart {
  readonly #width: number;
  readonly #means: readonly number[];
  readonly #maximumBytes: number;
  readonly #kept = new Map<string, Float32Array>();
  #bytes = 0;

  /** @param width - H; `means`: layers whose means are kept beside the rows */
  constructor(width: number, means: readonly number[], maximumBytes = FROZEN_BYTES) {
    this.#width = width;
    this.#means = means;
    this.#maximumBytes = maximumBytes;
  }

  get cachedBytes(): number {
    return this.#bytes;
  }

  /** Feeds for the programs above. @param compute - fills what it is given for the whole batch, where a record is not known yet */
  async feeds(batch: TokenBatch, shape: BatchShape, compute: (into: Rows) => Promise<void>): Promise<Rows> {
    const keys = Array.from({ length: shape.batch }, (_, b) => rowKey(batch, b, shape.tokens));
    const records = keys.map((key) => this.#take(key));
    const feeds: Rows = new Map([
      [FROZEN_ROWS, new Float32Array(shape.batch * shape.tokens * this.#width)],
      ...this.#means.map((l): [string, Float32Array] => [frozenMean(l), new Float32Array(shape.batch * this.#width)]),
    ]);
    if (records.includes(undefined)) {
      await compute(feeds);
      for (const [b, key] of keys.entries())
        if (records[b] === undefined) this.#keep(key, this.#record(feeds, batch, b, shape.tokens));
      return feeds;
    }
    for (const [b, record] of records.entries()) this.#place(record as Float32Array, feeds, b, shape.tokens);
    return feeds;
  }

  /** Means first, then rows. */
  #record(feeds: Rows, { attentionMask }: TokenBatch, b: number, tokens: number): Float32Array {
    const width = this.#width;
    const length = attentionMask.subarray(b * tokens, (b + 1) * tokens).lastIndexOf(1) + 1;
    const out = new Float32Array((this.#means.length + length) * width);
    for (const [i, layer] of this.#means.entries())
      out.set((feeds.get(frozenMean(layer)) as Float32Array).subarray(b * width, (b + 1) * width), i * width);
    const start = b * tokens * width;
    const rows = (feeds.get(FROZEN_ROWS) as Float32Array).subarray(start, start + length * width);
    out.set(rows, this.#means.length * width);
    return out;
  }

  #place(record: Float32Array, feeds: Rows, b: number, tokens: number): void {
    const width = this.#width;
    for (const [i, layer] of this.#means.entries())
      (feeds.get(frozenMean(layer)) as Float32Array).set(record.subarray(i * width, (i + 1) * width), b * width);
    (feeds.get(FROZEN_ROWS) as Float32Array).set(record.subarray(this.#means.length * width), b * tokens * width);
  }

  #take(key: string): Float32Array | undefined {
    const record = this.#kept.get(key);
    if (record === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, record);
    return record;
  }

  #keep(key: string, record: Float32Array): void {
    if (this.#kept.has(key) || bytesOf(key, record) > this.#maximumBytes) return;
    this.#kept.set(key, record);
    this.#bytes += bytesOf(key, record);
    for (const [oldest, { byteLength }] of this.#kept) {
      if (this.#bytes <= this.#maximumBytes) return;
      this.#kept.delete(oldest);
      this.#bytes -= oldest.length + byteLength;
    }
  }
}

function bytesOf(key: string, { byteLength }: Float32Array): number {
  return key.length + byteLength;
}

const oneByte = new TextDecoder('latin1');

/** A row's tokens, mask and types themselves, a character a byte: two different rows never have the same key. */
function rowKey({ inputIds, attentionMask, tokenTypeIds }: TokenBatch, b: number, tokens: number): string {
  const part = (numbers: Int32Array): string =>
    oneByte.decode(new Uint8Array(numbers.buffer, numbers.byteOffset + 4 * b * tokens, 4 * tokens));
  return part(inputIds) + part(attentionMask) + part(tokenTypeIds);
}
