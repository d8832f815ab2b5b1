import type { Value } from '../../engine/graph.ts';
import type { Ops } from '../../engine/ops.ts';
import type { Book } from '../book.ts';
import type { BertConfig } from '../config.ts';
import type { LoraModule } from '../lora.ts';

/** What every layer needs while the program is traced. */
export interface Trace {
  readonly ops: Ops;
  readonly book: Book;
  readonly config: BertConfig;
  readonly batch: number;
  readonly tokens: number;
  /** A model parameter under its Hugging Face (or peft) name. */
  parameter(name: string): Value;
  /** The adapter on a linear module, if it has one. */
  lora(module: string): LoraModule | undefined;
  /** Inverted-dropout mask (0 or 1/(1 − rate)) of the layer of this name; undefined where nothing is dropped. */
  dropout(name: string, shape: readonly number[]): Value | undefined;
}

/** A layer's output, and the way back: the gradient with respect to its input, noting parameter gradients in the book. */
export interface Layer {
  readonly output: Value;
  backward(gradient: Value): Value;
}
