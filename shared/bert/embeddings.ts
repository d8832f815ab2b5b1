import type { TokenBatch } from './types.ts';

/** The three embedding tables, row-major, each `width` wide. */
export interface EmbeddingTables {
  readonly word: Float32Array;
  readonly position: Float32Array;
  readonly type: Float32Array;
  readonly width: number;
  /** Its row gets no gradient: Hugging Face's `padding_idx`. */
  readonly padTokenId: number | undefined;
}

/**
 * Word + position + token type of every token, [B·T, H]. Done here and not in the engine: a look-up is memory traffic
 * only, and its gradient (a scatter-add) is slow, wrong or missing on several backends.
 */
export function embed(tables: EmbeddingTables, batch: TokenBatch, tokens: number): Float32Array {
  const { word, position, type, width } = tables;
  const rows = batch.inputIds.length;
  const out = new Float32Array(rows * width);
  for (let n = 0; n < rows; n++) {
    const w = (batch.inputIds[n] as number) * width;
    const p = (n % tokens) * width;
    const t = (batch.tokenTypeIds[n] as number) * width;
    const at = n * width;
    for (let j = 0; j < width; j++) {
      out[at + j] = (word[w + j] as number) + (position[p + j] as number) + (type[t + j] as number);
    }
  }
  return out;
}

/** Adds the gradient of the summed embeddings [B·T, H] to the gradients of the three tables. */
export function scatter(gradient: Float32Array, into: EmbeddingTables, batch: TokenBatch, tokens: number): void {
  const { word, position, type, width } = into;
  for (let n = 0; n < batch.inputIds.length; n++) {
    const id = batch.inputIds[n] as number;
    const at = n * width;
    if (id !== into.padTokenId) addRow(word, id * width, gradient, at, width);
    addRow(position, (n % tokens) * width, gradient, at, width);
    addRow(type, (batch.tokenTypeIds[n] as number) * width, gradient, at, width);
  }
}

/** to[at…] += from[start…] */
export function addRow(
  to: Float32Array,
  at: number,
  from: Float32Array,
  start: number,
  width: number,
  factor = 1,
): void {
  for (let j = 0; j < width; j++) to[at + j] = (to[at + j] as number) + factor * (from[start + j] as number);
}
