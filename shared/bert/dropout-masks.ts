import type { Graph } from '../engine/graph.ts';
import { elements } from '../tensor/named.ts';
import type { BertConfig } from './config.ts';

/** Feeds of this prefix are dropout masks. */
export const dropoutPrefix = 'dropout:';

/** Share of values that the dropout layer of this name sets to zero. */
export function dropoutRate(config: BertConfig, name: string): number {
  if (name.endsWith('attention.self.dropout')) return config.attentionDropout;
  return name === 'classifier.dropout' ? config.classifierDropout : config.hiddenDropout;
}

/**
 * The masks that a graph asks for: 0 or 1/(1 − rate), decided by (seed, layer, element) through a counter-based
 * generator, so that they are the same on every engine and in any order. Not for privacy: nothing secret rests on it.
 */
export function dropoutMasks(graph: Graph, config: BertConfig, seed: number): Map<string, Float32Array> {
  const out = new Map<string, Float32Array>();
  for (const { name, value } of graph.feeds) {
    if (!name.startsWith(dropoutPrefix)) continue;
    const rate = dropoutRate(config, name.slice(dropoutPrefix.length));
    out.set(name, mask(elements(value.shape), rate, layerKey(name, seed)));
  }
  return out;
}

function mask(length: number, rate: number, key: number): Float32Array {
  const out = new Float32Array(length);
  const threshold = rate * 2 ** 32;
  const kept = 1 / (1 - rate);
  for (let i = 0; i < length; i++) out[i] = hash(i + key) < threshold ? 0 : kept;
  return out;
}

function layerKey(name: string, seed: number): number {
  let key = hash(seed);
  for (let i = 0; i < name.length; i++) key = hash(key ^ name.charCodeAt(i));
  return key;
}

/** A bijection of 32-bit integers that mixes well: "lowbias32" (Wellons, 2018). */
function hash(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}
