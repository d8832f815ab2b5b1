import type * as TensorFlow from '@tensorflow/tfjs';

/** The library as handed in: whichever of its packages fits the place. */
export type Tf = typeof TensorFlow;
export type Tensor = TensorFlow.Tensor;
