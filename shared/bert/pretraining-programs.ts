import type { Graph, Value } from '../engine/graph.ts';
import { Ops } from '../engine/ops.ts';
import { Book } from './book.ts';
import { encoder } from './layers/encoder.ts';
import { poolerHead } from './layers/heads.ts';
import { maskedHead, nextSentenceHead, weightedSoftmax } from './layers/pretraining.ts';
import { wordEmbedding } from './names.ts';
import { embeddingNorms, type ProgramSpec, traceOf } from './programs.ts';

export interface PretrainingSpec extends Pick<ProgramSpec, 'config' | 'batch' | 'tokens' | 'shapes' | 'trains'> {
  /** M, places for predicted positions; for private gradients M / B of each example, in order. */
  readonly slots: number;
  readonly nextSentence: boolean;
}

/** Outputs `predictions` [M, V] and, with next sentence, `nextSentence` [B, 2]. */
export function predictionProgram(spec: PretrainingSpec): Graph {
  const { ops, masked, next } = forward(spec);
  const outputs = new Map([['predictions', masked.logits]]);
  if (next !== undefined) outputs.set('nextSentence', next.logits);
  return ops.finish(outputs);
}

/**
 * Gradient of Σ_m slotWeight_m · CE_m + Σ_b weight_b · NSP_b. Feeds as `forward`, and `targetEmbeddings` [M,H],
 * `targetBias` [M]: the decoder rows of the true pieces, looked up by the host. With them no one-hot matrix of M × V is
 * needed: the host takes slotWeight · `transformed` off the true pieces' rows of the tied weight, and slotWeight off
 * their biases. Outputs: `maskedLosses` [M], `nextLosses` [B], `transformed` [M,H], gradients by name, `embedded`.
 */
export function plainPretrainingProgram(spec: PretrainingSpec): Graph {
  const { ops, trace, book, masked, next, backward, slotWeights } = forward(spec);
  const { config, slots, batch } = spec;
  const targetEmbeddings = ops.feed('targetEmbeddings', [slots, config.hiddenSize]);
  const { weighted, logTotal } = weightedSoftmax(trace, masked.logits, slotWeights);
  const targetLogits = ops.add(
    ops.reduceSum(ops.mul(masked.transformed, targetEmbeddings), [1]),
    ops.feed('targetBias', [slots]),
  );
  const pulled = ops.mul(targetEmbeddings, ops.reshape(slotWeights, [slots, 1]));
  const dTransformed = ops.sub(ops.matmul(weighted, trace.parameter(wordEmbedding)), pulled);
  book.linear(wordEmbedding, 'cls.predictions.bias', masked.transformed, weighted);
  const dEmbedded = backward(masked.backward(dTransformed), next?.backward(ops.feed('weights', [batch])));
  const outputs = new Map([
    ['maskedLosses', ops.sub(logTotal, targetLogits)],
    ['transformed', masked.transformed],
    ['embedded', dEmbedded],
    ...book.plainSums(),
  ]);
  if (next !== undefined) outputs.set('nextLosses', next.losses);
  return ops.finish(outputs);
}

/**
 * Private gradients of the example loss (mean over the example's own predicted positions + its next-sentence loss).
 * Feeds as `forward`, and `targets` int32 [M], `ids` int32 [B·T], `notPad` [B,1,T], `weights` [B], `clip` [1],
 * `sameToken`, `sameType`. Outputs as the plain program without `transformed`, and `norms` [B].
 */
export function privatePretrainingProgram(spec: PretrainingSpec, detail = false): Graph {
  const { ops, trace, book, masked, next, backward, slotWeights } = forward(spec);
  const { slots, batch, config } = spec;
  const { weighted, logTotal } = weightedSoftmax(trace, masked.logits, slotWeights);
  const truth = ops.oneHot(ops.feed('targets', [slots], 'int32'), config.vocabSize);
  const dLogits = ops.sub(weighted, ops.mul(truth, ops.reshape(slotWeights, [slots, 1])));
  book.linear(wordEmbedding, 'cls.predictions.bias', masked.transformed, dLogits);
  const dTransformed = ops.matmul(dLogits, trace.parameter(wordEmbedding));
  const dEmbedded = backward(masked.backward(dTransformed), next?.backward());
  embeddingNorms({ ...spec, recordsPerUnit: 1 }, ops, book, dEmbedded);
  book.squaredNorm(wordEmbedding, crossTerm(spec, ops, book, masked.transformed, dLogits, dEmbedded));
  const norms = ops.sqrt(book.totalSquaredNorm());
  const clip = ops.feed('clip', [1]);
  const factors = ops.mul(ops.div(clip, ops.max(norms, clip)), ops.feed('weights', [batch]));
  const outputs = new Map([
    ['maskedLosses', ops.sub(logTotal, ops.reduceSum(ops.mul(masked.logits, truth), [1]))],
    ['norms', norms],
    ['embedded', book.weightedRows(factors, dEmbedded)],
    ...book.weightedSums(factors),
  ]);
  if (next !== undefined) outputs.set('nextLosses', next.losses);
  if (detail) for (const [name, value] of book.squaredNorms()) outputs.set(`squared:${name}`, value);
  return ops.finish(outputs);
}

/**
 * A tied weight's gradient is the decoder's plus the embedding's, so its squared norm has twice their inner product:
 * 2 Σ_{m,n} dLogits[m, id_n] · (transformed_m · dEmbedded_n).
 */
function crossTerm(
  spec: PretrainingSpec,
  ops: Ops,
  book: Book,
  transformed: Value,
  dLogits: Value,
  dEmbedded: Value,
): Value {
  const { batch, tokens, config } = spec;
  const ids = ops.oneHot(ops.feed('ids', [batch * tokens], 'int32'), config.vocabSize);
  const logitAtToken = ops.matmul(book.byUnit(dLogits), book.byUnit(ids), { b: true });
  const rows = ops.matmul(book.byUnit(transformed), book.byUnit(dEmbedded), { b: true });
  const products = ops.mul(ops.mul(logitAtToken, rows), ops.feed('notPad', [batch, 1, tokens]));
  return ops.scale(ops.reduceSum(products, [1, 2]), 2);
}

/**
 * Feeds: `embedded` [B·T,H], `attentionBias` [B,1,1,T], `positions` int32 [M] (row of each slot), `inverse` int32 [B·T]
 * (slot of each row, M for none), `slotWeights` [M], and with next sentence `nextTargets` [B,2].
 */
function forward(spec: PretrainingSpec) {
  const ops = new Ops();
  const book = new Book(ops, spec.batch, spec.trains);
  const trace = traceOf({ ...spec, lora: [], dropout: false }, ops, book);
  const { batch, tokens, config, slots } = spec;
  const embedded = ops.feed('embedded', [batch * tokens, config.hiddenSize]);
  const encoded = encoder(trace, embedded, ops.feed('attentionBias', [batch, 1, 1, tokens]), config.layers);
  const last = encoded.outputs.get(config.layers) as Value;
  const masked = maskedHead(trace, ops.gatherRows(last, ops.feed('positions', [slots], 'int32')));
  const pooler = spec.nextSentence ? poolerHead(trace, encoded) : undefined;
  const next =
    pooler === undefined ? undefined : nextSentenceHead(trace, pooler.output, ops.feed('nextTargets', [batch, 2]));
  const inverse = ops.feed('inverse', [batch * tokens], 'int32');
  return {
    ops,
    trace,
    book,
    masked,
    next,
    slotWeights: ops.feed('slotWeights', [slots]),
    /** Gradients at the slots' rows and at the pooler's output → gradient of the summed embeddings. */
    backward(dSlots: Value, dPooled: Value | undefined): Value {
      // Rows that are no slot take the row of zeros behind the last one: a scatter without scattering.
      const zeros = ops.constant(new Float32Array(config.hiddenSize), [1, config.hiddenSize]);
      const dMasked = ops.gatherRows(ops.concat([dSlots, zeros], 0), inverse);
      const dFirst = dPooled === undefined ? undefined : pooler?.backward(dPooled).get(config.layers);
      return encoded.backward(new Map([[config.layers, dFirst === undefined ? dMasked : ops.add(dMasked, dFirst)]]));
    },
  };
}
