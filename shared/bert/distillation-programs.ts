import type { Graph, Value } from '../engine/graph.ts';
import { Ops } from '../engine/ops.ts';
import { Book } from './book.ts';
import { encoder } from './layers/encoder.ts';
import { meanOfRows, spread, unitLength } from './layers/heads.ts';
import { linear } from './layers/linear.ts';
import type { Trace } from './layers/trace.ts';
import { type ProgramSpec, traceOf } from './programs.ts';

/** Maps from the student's means to the teacher's space, as linear layers beside the model's own. */
export const MAP_FIRST = 'distillation.first';
export const MAP_LAST = 'distillation.last';

/** What the parts of the loss count. */
export interface DistillationLossWeights {
  /** The embedding layer's cosine loss; the last layer's counts 1. */
  readonly first: number;
  /** The mean square of the differences between the batch's cosines, student's against teacher's. */
  readonly similarity: number;
}

export interface DistillationSpec
  extends Pick<ProgramSpec, 'config' | 'batch' | 'tokens' | 'shapes' | 'trains'>,
    DistillationLossWeights {
  /** D, width of the targets. */
  readonly targetWidth: number;
}

/**
 * Gradient of mean_b(1 − cos(last_b, t_b)) + first·mean_b(1 − cos(first_b, t_b)) + similarity·mean_{b,c}(last_b·last_c −
 * t_b·t_c)², where last_b and first_b are the mapped means, at unit length, of text b's token vectors in the last and in
 * the embedding layer. Cosine to a teacher's sentence vector: Reimers & Gurevych 2020; similarities within a batch:
 * Tung & Mori 2019, "Similarity-preserving knowledge distillation".
 * Feeds: `embedded` [B·T, H], `attentionBias` [B,1,1,T], `meanMask` [B,T,1], `targets` [B,D] of unit length. Outputs:
 * `cosines` [B], `firstCosines` [B], `similarity` [1], gradients by name, `embedded`.
 */
export function distillationProgram(spec: DistillationSpec): Graph {
  const { batch, tokens, config } = spec;
  const ops = new Ops();
  const book = new Book(ops, 1, spec.trains);
  const trace = traceOf({ ...spec, lora: [], dropout: false }, ops, book);
  const embedded = ops.feed('embedded', [batch * tokens, config.hiddenSize]);
  const meanMask = ops.feed('meanMask', [batch, tokens, 1]);
  const targets = ops.feed('targets', [batch, spec.targetWidth]);
  const encoded = encoder(trace, embedded, ops.feed('attentionBias', [batch, 1, 1, tokens]), config.layers);
  const last = mappedMean(trace, MAP_LAST, encoded.outputs.get(config.layers) as Value, meanMask);
  const first = mappedMean(trace, MAP_FIRST, encoded.outputs.get(0) as Value, meanMask);
  const likeness = similarityLoss(ops, last.output, targets, spec.similarity);
  const towards = (share: number): Value => ops.scale(targets, -share / batch);
  const dEmbedded = encoded.backward(
    new Map([
      [0, first.backward(towards(spec.first))],
      [config.layers, last.backward(ops.add(towards(1), likeness.gradient))],
    ]),
  );
  return ops.finish(
    new Map([
      ['cosines', ops.dotRows(last.output, targets)],
      ['firstCosines', ops.dotRows(first.output, targets)],
      ['similarity', likeness.loss],
      ['embedded', dEmbedded],
      ...book.plainSums(),
    ]),
  );
}

/** Outputs `first` and `last` [B, H]: the plain means, from which the maps are fitted. */
export function studentMeansProgram(spec: DistillationSpec): Graph {
  const { batch, tokens, config } = spec;
  const ops = new Ops();
  const trace = traceOf({ ...spec, lora: [], dropout: false }, ops, new Book(ops, 1, spec.trains));
  const embedded = ops.feed('embedded', [batch * tokens, config.hiddenSize]);
  const meanMask = ops.feed('meanMask', [batch, tokens, 1]);
  const encoded = encoder(trace, embedded, ops.feed('attentionBias', [batch, 1, 1, tokens]), config.layers);
  return ops.finish(
    new Map([
      ['first', meanOfRows(trace, encoded.outputs.get(0) as Value, meanMask)],
      ['last', meanOfRows(trace, encoded.outputs.get(config.layers) as Value, meanMask)],
    ]),
  );
}

/** Mean over the mask, linear map, unit length; backward gives the gradient of the rows. */
function mappedMean(trace: Trace, module: string, rows: Value, meanMask: Value) {
  const map = linear(trace, module, meanOfRows(trace, rows, meanMask));
  const unit = unitLength(trace, map.output);
  return {
    output: unit.output,
    backward: (gradient: Value): Value => spread(trace, map.backward(unit.backward(gradient)), meanMask),
  };
}

/** weight · mean over pairs of (u_b·u_c − t_b·t_c)², and its gradient with respect to u. */
function similarityLoss(ops: Ops, unit: Value, targets: Value, weight: number): { loss: Value; gradient: Value } {
  const pairs = (unit.shape[0] as number) ** 2;
  const difference = ops.sub(ops.matmul(unit, unit, { b: true }), ops.matmul(targets, targets, { b: true }));
  const loss = ops.scale(ops.reshape(ops.reduceSum(ops.mul(difference, difference), [0, 1]), [1]), weight / pairs);
  return { loss, gradient: ops.scale(ops.matmul(difference, unit), (4 * weight) / pairs) };
}
