import { TacitError } from '../core/errors.ts';
import type { BertConfig } from './config.ts';
import type { BertErrorCode } from './errors.ts';
import type { BertTask, LabelledBatch, TokenBatch } from './types.ts';

/** Rows and columns of a token batch. */
export interface BatchShape {
  readonly batch: number;
  readonly tokens: number;
}

/** Checks every number of a batch. @throws BERT_BATCH_INVALID naming the example and the position */
export function checkTokens(batch: TokenBatch, defaultTokens: number, config: BertConfig): BatchShape {
  const { inputIds, attentionMask, tokenTypeIds } = batch;
  const tokens = batch.tokens ?? defaultTokens;
  if (!Number.isInteger(tokens) || tokens < 1 || tokens > config.maxPositions) {
    throw invalid(`${tokens} tokens an example; the model has ${config.maxPositions} positions`);
  }
  const rows = inputIds.length / tokens;
  if (!Number.isInteger(rows) || rows === 0)
    throw invalid(`${inputIds.length} token ids are not whole examples of ${tokens}`);
  if (attentionMask.length !== inputIds.length || tokenTypeIds.length !== inputIds.length) {
    throw invalid('inputIds, attentionMask and tokenTypeIds differ in length');
  }
  for (let i = 0; i < inputIds.length; i++) {
    below(inputIds[i] as number, config.vocabSize, 'token id', i, tokens);
    below(tokenTypeIds[i] as number, config.typeVocabSize, 'token type', i, tokens);
    below(attentionMask[i] as number, 2, 'attention mask', i, tokens);
  }
  return { batch: rows, tokens };
}

/**
 * Targets [rows, labels] of the loss: one-hot classes, or the values as they are. Padding rows (weight 0) are not read.
 * @throws BERT_BATCH_INVALID
 */
export function targetsOf(
  labels: Int32Array | Float32Array,
  weights: Float32Array,
  task: BertTask,
  width: number,
): Float32Array {
  const rows = weights.length;
  const expected = task === 'single_label' ? rows : rows * width;
  if (labels.length !== expected) throw invalid(`${labels.length} labels where ${expected} are needed`);
  const targets = new Float32Array(rows * width);
  for (let b = 0; b < rows; b++) {
    const weight = weights[b] as number;
    if (!(weight >= 0) || weight === Infinity) throw invalid(`weight ${weight} of example ${b}`);
    if (weight === 0) continue;
    if (task === 'single_label') {
      below(labels[b] as number, width, 'label', b, 1);
      targets[b * width + (labels[b] as number)] = 1;
    } else {
      for (let l = 0; l < width; l++) targets[b * width + l] = finite(labels[b * width + l] as number, task, b);
    }
  }
  return targets;
}

/** 0 where a key may be attended to, −1e9 where not: after softmax exactly 0. [B,1,1,T] */
export function attentionBias(attentionMask: Int32Array): Float32Array {
  return Float32Array.from(attentionMask, (m) => (m === 1 ? 0 : -1e9));
}

/** mask / number of unmasked tokens; all zero for a row without tokens. [B,T,1] */
export function meanMask(attentionMask: Int32Array, tokens: number): Float32Array {
  const out = new Float32Array(attentionMask.length);
  for (let at = 0; at < out.length; at += tokens) {
    let count = 0;
    for (let t = 0; t < tokens; t++) count += attentionMask[at + t] as number;
    for (let t = 0; t < tokens; t++) out[at + t] = (attentionMask[at + t] as number) / Math.max(1, count);
  }
  return out;
}

/** Which rows of a unit share a row of an embedding table, as its norms need them. Of one record no two have one position. */
export function sharedTableRows(
  { inputIds, tokenTypeIds }: Pick<TokenBatch, 'inputIds' | 'tokenTypeIds'>,
  { tokens }: BatchShape,
  recordsPerUnit: number,
  padTokenId: number | undefined,
): [string, Float32Array][] {
  const rows = tokens * recordsPerUnit;
  const pieces = inputIds.map((id) => (id === padTokenId ? -1 : id));
  const positions = inputIds.map((_, i) => i % tokens);
  return [
    ['sameToken', sameKeys(pieces, rows)],
    ['sameType', sameKeys(tokenTypeIds, rows)],
    ...(recordsPerUnit > 1 ? [['samePosition', sameKeys(positions, rows)] as [string, Float32Array]] : []),
  ];
}

/** 1 where two rows of a unit have the same key, [U,S,S]; keys below 0 equal nothing, not even themselves. */
function sameKeys(keys: ArrayLike<number>, rowsPerUnit: number): Float32Array {
  const units = keys.length / rowsPerUnit;
  const out = new Float32Array(units * rowsPerUnit * rowsPerUnit);
  let at = 0;
  for (let u = 0; u < units; u++) {
    const start = u * rowsPerUnit;
    for (let i = 0; i < rowsPerUnit; i++) {
      const key = keys[start + i] as number;
      for (let j = 0; j < rowsPerUnit; j++, at++) if (key >= 0 && keys[start + j] === key) out[at] = 1;
    }
  }
  return out;
}

/** The batch with the given examples emptied: one unmasked padding token, weight 0. */
export function withoutExamples(batch: LabelledBatch, examples: readonly number[], shape: BatchShape): LabelledBatch {
  const inputIds = batch.inputIds.slice();
  const attentionMask = batch.attentionMask.slice();
  const tokenTypeIds = batch.tokenTypeIds.slice();
  const weights = batch.weights.slice();
  for (const b of examples) {
    const [from, to] = [b * shape.tokens, (b + 1) * shape.tokens];
    inputIds.fill(0, from, to);
    tokenTypeIds.fill(0, from, to);
    attentionMask.fill(0, from, to);
    attentionMask[from] = 1;
    weights[b] = 0;
  }
  return { ...batch, inputIds, attentionMask, tokenTypeIds, weights };
}

function below(value: number, bound: number, what: string, index: number, tokens: number): void {
  if (value >= 0 && value < bound && Number.isInteger(value)) return;
  const place = tokens === 1 ? '' : `, token ${index % tokens}`;
  throw invalid(`${what} ${value} of example ${Math.floor(index / tokens)}${place} is not in 0..${bound - 1}`);
}

function finite(value: number, task: BertTask, example: number): number {
  const ok = task === 'multi_label' ? value >= 0 && value <= 1 : Number.isFinite(value);
  if (!ok) throw invalid(`label ${value} of example ${example} does not fit ${task}`);
  return value;
}

export function invalid(what: string): TacitError<BertErrorCode> {
  return new TacitError<BertErrorCode>('BERT_BATCH_INVALID', what, { where: 'batch' });
}
