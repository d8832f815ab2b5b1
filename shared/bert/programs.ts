import type { Graph, Value } from '../engine/graph.ts';
import { Ops } from '../engine/ops.ts';
import { Book } from './book.ts';
import type { BertConfig } from './config.ts';
import { dropoutPrefix, dropoutRate } from './dropout-masks.ts';
import { FROZEN_ROWS, frozenMean, frozenMeanLayers } from './frozen-part.ts';
import { type Encoder, encoder, encoderFrom } from './layers/encoder.ts';
import { classifier, type FeatureHead, meanHead, meanOfRows, poolerHead } from './layers/heads.ts';
import { taskLoss } from './layers/losses.ts';
import type { Trace } from './layers/trace.ts';
import type { LoraModule } from './lora.ts';
import { positionEmbedding, typeEmbedding, wordEmbedding } from './names.ts';
import { blocksUsed } from './parameters.ts';
import type { BertTask, Head } from './types.ts';

/** Everything that decides what a program of a sequence model computes. */
export interface ProgramSpec {
  readonly config: BertConfig;
  readonly head: Head;
  readonly task: BertTask;
  readonly labels: number;
  readonly batch: number;
  readonly tokens: number;
  /** Records of one privacy unit, next to one another in the batch; 1: a unit is an example. */
  readonly recordsPerUnit: number;
  /** Shapes of all parameters by name. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly lora: readonly LoraModule[];
  readonly trains: (name: string) => boolean;
  /** Dropout masks are fed. */
  readonly dropout: boolean;
  /** Blocks below the one that the program starts at; 0: it starts from embeddings. */
  readonly from: number;
}

/**
 * Feeds: `embedded` [B·T, H] or, above frozen blocks, what `frozenProgram` gives; `attentionBias` [B,1,1,T], mean head
 * `meanMask` [B,T,1]. Outputs: `logits`, `features`.
 */
export function forwardProgram(spec: ProgramSpec): Graph {
  const { ops, features, logits } = forward(spec);
  return ops.finish(
    new Map([
      ['logits', logits.output],
      ['features', features.output],
    ]),
  );
}

/** `features` alone: the classifier is not needed. */
export function featureProgram(spec: ProgramSpec): Graph {
  const { ops, features } = forward(spec);
  return ops.finish(new Map([['features', features.output]]));
}

/** The blocks below `spec.from`: their output `frozen` [B·T, H] and, where the head reads one of them, its `mean:<layer>` [B, H]. */
export function frozenProgram(spec: ProgramSpec): Graph {
  const { from } = spec;
  const { ops, trace, attentionBias, start } = begin({ ...spec, from: 0 });
  const meanMask = ops.feed('meanMask', [spec.batch, spec.tokens, 1]);
  const { outputs } = encoder(trace, start, attentionBias, from);
  const means = frozenMeanLayers(spec, from).map((layer): [string, Value] => [
    frozenMean(layer),
    meanOfRows(trace, outputs.get(layer) as Value, meanMask),
  ]);
  return ops.finish(new Map([[FROZEN_ROWS, outputs.get(from) as Value], ...means]));
}

/**
 * Private gradients. More feeds: `targets` [B,L], `weights` [B], `clip` [1], and when word embeddings train the 0/1
 * matrices `sameToken`, `sameType` (and `samePosition` for units of several records) [U,S,S].
 * Outputs: `losses` [B], `norms` [U], each trainable parameter's Σ_u w_u·min(1, C/‖g_u‖)·g_u under its name, and
 * `embedded` [B·T, H], the weighted gradient of the summed embeddings, which the host scatters into the tables.
 * With `detail` also `squared:<name>` [U] for every trainable parameter.
 */
export function privateProgram(spec: ProgramSpec, detail = false): Graph {
  const { ops, book, outputs, dEmbedded } = backward(spec, spec.recordsPerUnit > 1);
  if (spec.trains(wordEmbedding)) embeddingNorms(spec, ops, book, dEmbedded);
  const units = spec.batch / spec.recordsPerUnit;
  const norms = ops.sqrt(book.totalSquaredNorm());
  const clip = ops.feed('clip', [1]);
  // C / max(norm, C) is min(1, C / norm) without a division by zero.
  const clipped = ops.div(clip, ops.max(norms, clip));
  const factors = spec.recordsPerUnit > 1 ? clipped : ops.mul(clipped, ops.feed('weights', [units]));
  outputs.set('norms', norms);
  for (const [name, value] of book.weightedSums(factors)) outputs.set(name, value);
  if (spec.trains(wordEmbedding)) outputs.set('embedded', book.weightedRows(factors, dEmbedded));
  if (detail) for (const [name, value] of book.squaredNorms()) outputs.set(`squared:${name}`, value);
  return ops.finish(outputs);
}

/** Plain gradients Σ_b w_b·g_b: as `privateProgram` without norms and clipping. */
export function plainProgram(spec: ProgramSpec): Graph {
  const { ops, book, outputs, dEmbedded } = backward(spec, true);
  for (const [name, value] of book.plainSums()) outputs.set(name, value);
  if (spec.trains(wordEmbedding)) outputs.set('embedded', dEmbedded);
  return ops.finish(outputs);
}

function begin(spec: ProgramSpec) {
  const ops = new Ops();
  const book = new Book(ops, spec.batch / spec.recordsPerUnit, spec.trains);
  const trace = traceOf(spec, ops, book);
  const { batch, tokens, config, from } = spec;
  const start = ops.feed(from === 0 ? 'embedded' : FROZEN_ROWS, [batch * tokens, config.hiddenSize]);
  return { ops, book, trace, start, attentionBias: ops.feed('attentionBias', [batch, 1, 1, tokens]) };
}

function forward(spec: ProgramSpec) {
  const { ops, book, trace, start, attentionBias } = begin(spec);
  const { config, from, head } = spec;
  const blocks = blocksUsed(config, head);
  const encoded =
    from === 0 ? encoder(trace, start, attentionBias, blocks) : encoderFrom(trace, from, start, attentionBias, blocks);
  const features = featureHead(spec, trace, encoded);
  return { ops, book, encoded, features, logits: classifier(trace, features.output) };
}

function featureHead(spec: ProgramSpec, trace: Trace, encoded: Encoder): FeatureHead {
  if (spec.head === 'pooler') return poolerHead(trace, encoded);
  return meanHead(trace, encoded, trace.ops.feed('meanMask', [spec.batch, spec.tokens, 1]));
}

/** The whole backward pass traced; `finish` later leaves out what nothing trainable needs. */
function backward(spec: ProgramSpec, weightedLoss: boolean) {
  const { ops, book, encoded, features, logits } = forward(spec);
  const { losses, gradient } = taskLoss(ops, spec.task, logits.output, ops.feed('targets', [spec.batch, spec.labels]));
  const dLogits = weightedLoss
    ? ops.mul(gradient, ops.reshape(ops.feed('weights', [spec.batch]), [spec.batch, 1]))
    : gradient;
  const dEmbedded = encoded.backward(features.backward(logits.backward(dLogits)));
  return { ops, book, dEmbedded, outputs: new Map<string, Value>([['losses', losses]]) };
}

/**
 * An embedding's gradient for a unit is a sum over its tokens of one row each, so its squared norm is Σ g·g′ over pairs
 * of tokens with the same row (Li et al. 2022, §4).
 */
export function embeddingNorms(
  spec: Pick<ProgramSpec, 'batch' | 'tokens' | 'recordsPerUnit'>,
  ops: Ops,
  book: Book,
  dEmbedded: Value,
): void {
  const gram = book.gram(dEmbedded);
  const same = (name: string): Value => ops.dotRows(gram, ops.feed(name, gram.shape));
  book.squaredNorm(wordEmbedding, same('sameToken'));
  book.squaredNorm(typeEmbedding, same('sameType'));
  const rows = book.byUnit(dEmbedded);
  const squares = (): Value => ops.dotRows(rows, rows);
  book.squaredNorm(positionEmbedding, spec.recordsPerUnit > 1 ? same('samePosition') : squares());
}

/** Trace over parameters whose shapes are known. */
export function traceOf(
  spec: Pick<ProgramSpec, 'config' | 'batch' | 'tokens' | 'shapes' | 'lora' | 'dropout'>,
  ops: Ops,
  book: Book,
): Trace {
  const adapters = new Map(spec.lora.map((m) => [m.module, m]));
  return {
    ops,
    book,
    config: spec.config,
    batch: spec.batch,
    tokens: spec.tokens,
    parameter: (name) => ops.parameter(name, spec.shapes.get(name) as readonly number[]),
    lora: (module) => adapters.get(module),
    dropout: (name, shape) =>
      spec.dropout && dropoutRate(spec.config, name) > 0 ? ops.feed(`${dropoutPrefix}${name}`, shape) : undefined,
  };
}
