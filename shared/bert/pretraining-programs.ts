import type { Graph, Value } from '../engine/graph.ts';
import { Ops } from '../engine/ops.ts';
import { Book } from './book.ts';
import { encoder } from './layers/encoder.ts';
import { poolerHead } from './layers/heads.ts';
import { maskedHead, nextSentenceHead, weightedSoftmax } from './layers/pretraining.ts';
import type { Trace } from './layers/trace.ts';
import { wordEmbedding } from './names.ts';
import { embeddingNorms, type ProgramSpec, traceOf } from './programs.ts';

export interface PretrainingSpec
  extends Pick<
    ProgramSpec,
    'config' | 'batch' | 'tokens' | 'recordsPerUnit' | 'shapes' | 'lora' | 'trains' | 'dropout'
  > {
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
  const { weighted, losses, dTransformed } = maskedLoss(spec, ops, trace, masked, slotWeights);
  book.linear(wordEmbedding, 'cls.predictions.bias', masked.transformed, weighted);
  const dEmbedded = backward(masked.backward(dTransformed), next?.backward(ops.feed('weights', [spec.batch])));
  const outputs = new Map([
    ['maskedLosses', losses],
    ['transformed', masked.transformed],
    ...(spec.trains(wordEmbedding) ? [['embedded', dEmbedded] as const] : []),
    ...book.plainSums(),
  ]);
  if (next !== undefined) outputs.set('nextLosses', next.losses);
  return ops.finish(outputs);
}

/**
 * Private gradients of the example loss (mean over the example's own predicted positions + its next-sentence loss).
 * Feeds as the plain program, and `weights` [B], `clip` [1], where the decoder or its bias trains `targets` int32 [M], and
 * where word embeddings do `ids` int32 [B·T], `notPad` [B·T], `sameToken`, `sameType` (units of several records:
 * `samePosition`). Units of several records have their weights in the loss, slotWeights included. Outputs as the plain
 * program without `transformed`, and `norms` [U].
 */
export function privatePretrainingProgram(spec: PretrainingSpec, detail = false): Graph {
  const { ops, trace, book, masked, next, backward, slotWeights } = forward(spec);
  const { slots, batch, config, recordsPerUnit } = spec;
  const { weighted, losses, dTransformed } = maskedLoss(spec, ops, trace, masked, slotWeights);
  const truth = ops.oneHot(ops.feed('targets', [slots], 'int32'), config.vocabSize);
  const dLogits = ops.sub(weighted, ops.mul(truth, ops.reshape(slotWeights, [slots, 1])));
  book.linear(wordEmbedding, 'cls.predictions.bias', masked.transformed, dLogits);
  const weights = ops.feed('weights', [batch]);
  const dEmbedded = backward(masked.backward(dTransformed), next?.backward(recordsPerUnit > 1 ? weights : undefined));
  if (spec.trains(wordEmbedding)) {
    embeddingNorms(spec, ops, book, dEmbedded);
    book.squaredNorm(wordEmbedding, crossTerm(spec, ops, book, masked.transformed, dLogits, dEmbedded));
  }
  const norms = ops.sqrt(book.totalSquaredNorm());
  const clip = ops.feed('clip', [1]);
  const clipped = ops.div(clip, ops.max(norms, clip));
  const factors = recordsPerUnit > 1 ? clipped : ops.mul(clipped, weights);
  const outputs = new Map([['maskedLosses', losses], ['norms', norms], ...book.weightedSums(factors)]);
  if (spec.trains(wordEmbedding)) outputs.set('embedded', book.weightedRows(factors, dEmbedded));
  if (next !== undefined) outputs.set('nextLosses', next.losses);
  if (detail) for (const [name, value] of book.squaredNorms()) outputs.set(`squared:${name}`, value);
  return ops.finish(outputs);
}

/** Cross-entropy at each slot [M], the softmax times the slots' weights [M, V], and the gradient of the decoder's input. */
function maskedLoss(
  { slots, config }: PretrainingSpec,
  ops: Ops,
  trace: Trace,
  masked: ReturnType<typeof maskedHead>,
  slotWeights: Value,
) {
  const targetEmbeddings = ops.feed('targetEmbeddings', [slots, config.hiddenSize]);
  const { weighted, logTotal } = weightedSoftmax(trace, masked.logits, slotWeights);
  const targetLogits = ops.add(
    ops.reduceSum(ops.mul(masked.transformed, targetEmbeddings), [1]),
    ops.feed('targetBias', [slots]),
  );
  const pulled = ops.mul(targetEmbeddings, ops.reshape(slotWeights, [slots, 1]));
  const dTransformed = ops.sub(ops.matmul(weighted, trace.parameter(wordEmbedding)), pulled);
  return { weighted, losses: ops.sub(logTotal, targetLogits), dTransformed };
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
  const { batch, tokens, config, recordsPerUnit } = spec;
  const [units, rowsPerUnit] = [batch / recordsPerUnit, tokens * recordsPerUnit];
  const ids = ops.oneHot(ops.feed('ids', [batch * tokens], 'int32'), config.vocabSize);
  const logitAtToken = ops.matmul(book.byUnit(dLogits), book.byUnit(ids), { b: true });
  const rows = ops.matmul(book.byUnit(transformed), book.byUnit(dEmbedded), { b: true });
  const products = ops.mul(ops.mul(logitAtToken, rows), ops.feed('notPad', [units, 1, rowsPerUnit]));
  return ops.scale(ops.reduceSum(products, [1, 2]), 2);
}

/**
 * Feeds: `embedded` [B·T,H], `attentionBias` [B,1,1,T], `positions` int32 [M] (row of each slot), `inverse` int32 [B·T]
 * (slot of each row, M for none), `slotWeights` [M], and with next sentence `nextTargets` [B,2].
 */
function forward(spec: PretrainingSpec) {
  const ops = new Ops();
  const book = new Book(ops, spec.batch / spec.recordsPerUnit, spec.trains);
  const trace = traceOf(spec, ops, book);
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
