import type { Rng } from '../core/rng.ts';
import type { Engine } from '../engine/engine.ts';
import type { Layout } from '../tensor/layout.ts';
import type { Weights } from '../tensor/named.ts';
import type { BertConfig } from './config.ts';

/** What the numbers coming out of the head mean, and so which loss trains them (Hugging Face `problem_type`). */
export type BertTask = 'single_label' | 'multi_label' | 'regression';

/** Low-rank adaptation (Hu et al. 2021) as `peft` defines it: W + (alpha / rank)·B·A. */
export interface LoraSpec {
  readonly rank: number;
  readonly alpha: number;
  /** Module names, matched as peft does: `query`, `value`, `attention.output.dense`, … */
  readonly targets: readonly string[];
  /** Only these encoder layers (0-based); all when absent. */
  readonly layers?: readonly number[];
  /** A stays as drawn and only B trains (Zhang et al. 2023, "LoRA-FA"): fewer numbers to noise. Default false. */
  readonly freezeA?: boolean;
  /** peft's `use_rslora`: alpha / √rank in place of alpha / rank (Kalajdzievski 2023). Default false. */
  readonly rankStabilised?: boolean;
  /** What trains in full beside the adapters, peft's `modules_to_save`. Default: the classifier. */
  readonly inFull?: readonly ('classifier' | 'pooler')[];
}

/** `layers`: these encoder blocks (0-based, as in their names) and the head above them, pooler included. */
export type Trainable = 'all' | 'head' | { readonly lora: LoraSpec } | { readonly layers: readonly number[] };

/** `pooler`: tanh(dense([CLS])), then the classifier. `mean`: see MeanHead. */
export type Head = 'pooler' | 'mean';

/** Token batch, row-major B×T. `tokens` = T; the model's own shape when absent. B = inputIds.length / T. */
export interface TokenBatch {
  readonly inputIds: Int32Array;
  readonly attentionMask: Int32Array;
  readonly tokenTypeIds: Int32Array;
  readonly tokens?: number;
}

export interface LabelledBatch extends TokenBatch {
  /** single_label: B class numbers. multi_label, regression: B×labels values. Masked LM: B×T, the true piece at predicted positions, −100 elsewhere. */
  readonly labels: Int32Array | Float32Array;
  /** Next sentence: B numbers, 0 where the second part follows the first. */
  readonly nextSentenceLabel?: Int32Array;
  /** B weights; 0 marks a padding example, which adds exactly nothing. */
  readonly weights: Float32Array;
  /** Records next to one another that form one privacy unit (a person); the model's own when absent. Divides B. */
  readonly recordsPerUnit?: number;
}

export interface ClipOptions {
  /** C, the L2 bound on one example's gradient; Infinity: no clipping, plain gradients (norms are then not computed). */
  readonly l2Clip: number;
  /** Where the sum is written (overwritten, then returned as `clippedSum`), to spare a large allocation each step. */
  readonly into?: Float32Array;
  /** Drop at the config's rates, with masks that this seed decides on every engine alike. Absent: nothing is dropped. */
  readonly dropoutSeed?: number;
  /** Also give the squared norms by parameter. */
  readonly detail?: boolean;
}

export interface HeadClipOptions extends ClipOptions {
  /**
   * Which privacy unit (person) each row belongs to, numbered from 0 without gaps; the rows of one may lie anywhere.
   * `norms` are then the units'. Absent: every row is a unit of its own.
   */
  readonly units?: Int32Array;
}

export interface Gradients {
  /** B losses of the examples, not weighted. */
  readonly losses: Float32Array;
  /** L2 norms, without meaning for padding examples, one a unit (B where a unit is an example), of the gradients over all trainable parameters; empty when l2Clip is Infinity. */
  readonly norms: Float32Array;
  /** Σ_b weight_b · min(1, C/norm_b) · gradient_b, in `trainableLayout` order. */
  readonly clippedSum: Float32Array;
  /** Examples left out because the loss or gradient of their unit was not finite. They add nothing and must not be counted. */
  readonly dropped: readonly number[];
  /** With `detail`: squared gradient norms of each unit, by trainable parameter. */
  readonly squaredNorms?: ReadonlyMap<string, Float32Array>;
}

export interface CreateBert {
  readonly engine: Engine;
  readonly config: BertConfig;
  /** Parameters under Hugging Face names; a missing classifier or adapter is initialised from `rng`. */
  readonly weights: Weights;
  readonly head: Head;
  /** Number of outputs: classes, labels or regression targets. */
  readonly labels: number;
  readonly task: BertTask;
  readonly trainable: Trainable;
  /** Default batch shape; programs for other shapes are prepared when they are first met. */
  readonly shape: {
    readonly batch: number;
    readonly tokens: number;
    /**
     * Records that form one privacy unit (a person), next to one another in the batch; default 1. Above 1, norms are
     * of units and the weights act inside them: 0 for a place that the person has no record for.
     */
    readonly recordsPerUnit?: number;
  };
  readonly rng: Rng;
  /** Most bytes of the frozen blocks' output that are kept, a record once; default FROZEN_BYTES, 0 for none. */
  readonly frozenBytes?: number;
}

/** What every model that trains has, whatever it learns. */
export interface TrainableModel {
  /** Names, shapes and order of what trains; LoRA names are peft's. */
  readonly trainableLayout: Layout;
  /** A copy of the trainable numbers. */
  trainable(): Float32Array;
  /** @throws TENSOR_SHAPE */
  setTrainable(flat: Float32Array): void;
  /**
   * Moves the trainable numbers into `memory`. Who writes new ones there in place spares a copy of the model in each
   * step: `setTrainable(memory)` then only says that they are new. @throws TENSOR_SHAPE
   */
  keepIn(memory: Float32Array): void;
  /** The whole model under Hugging Face names, LoRA merged into the base. */
  weightsNow(): Weights;
  /** What a LoRA stage trains: adapters, and what trains in full beside them, under peft's on-disk names. */
  adapterNow(): Weights;
  dispose(): Promise<void>;
}

/** A model whose gradients can be bounded unit by unit: all that training loops need to know of it. */
export interface GradientModel extends TrainableModel {
  /** One private (or, with l2Clip Infinity, plain) backward pass. @throws BERT_BATCH_INVALID, BERT_NOT_FINITE */
  gradients(batch: LabelledBatch, options: ClipOptions): Promise<Gradients>;
  /**
   * The same on features computed before, where the head alone trains: any number of rows, no engine involved. Absent
   * where an example never reads the same twice.
   */
  headGradients?(
    features: Float32Array,
    labels: Int32Array | Float32Array,
    weights: Float32Array,
    options: HeadClipOptions,
  ): Gradients;
}

/** A BERT sequence model made ready on one engine. Methods must not run at the same time as one another. */
export interface Bert extends GradientModel {
  readonly engine: string;
  readonly config: BertConfig;
  /** Bytes of the frozen blocks' output kept at present. */
  readonly frozenBytes: number;
  /** Length of one feature vector. */
  readonly featureLength: number;
  /** B×labels. @throws BERT_BATCH_INVALID */
  logits(batch: TokenBatch): Promise<Float32Array>;
  /** B×featureLength inputs of the final linear classifier. They do not change while only the head trains. */
  features(batch: TokenBatch): Promise<Float32Array>;
  /** Logits of the classifier on features: any number of rows. */
  headLogits(features: Float32Array): Float32Array;
  headGradients(
    features: Float32Array,
    labels: Int32Array | Float32Array,
    weights: Float32Array,
    options: HeadClipOptions,
  ): Gradients;
}
