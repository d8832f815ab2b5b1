import type { Engine } from '../engine/engine.ts';
import type { Layout } from '../tensor/layout.ts';
import type { Weights } from '../tensor/named.ts';
import { Steps } from './steps.ts';
import type { ParameterStore } from './store.ts';
import type { TrainableModel } from './types.ts';

/** A model's numbers and its programs on one engine. */
export abstract class StoredModel implements TrainableModel {
  protected readonly store: ParameterStore;
  protected readonly steps: Steps;

  constructor(engine: Engine, store: ParameterStore) {
    this.store = store;
    this.steps = new Steps(engine, [...store.parameters.values()]);
  }

  get trainableLayout(): Layout {
    return this.store.layout;
  }

  trainable(): Float32Array {
    return this.store.flat.slice();
  }

  setTrainable(flat: Float32Array): void {
    this.store.set(flat);
  }

  keepIn(memory: Float32Array): void {
    this.store.keepIn(memory);
  }

  weightsNow(): Weights {
    return this.store.weightsNow();
  }

  adapterNow(): Weights {
    return this.store.adapterNow();
  }

  dispose(): Promise<void> {
    return this.steps.dispose();
  }
}
