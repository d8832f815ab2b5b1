import { TacitError } from '../../core/errors.ts';
import type { NamedTensor } from '../../tensor/named.ts';
import { readSafetensors, toFloat32, writeSafetensors } from '../../tensor/safetensors.ts';
import type { TrainerState } from './trainer.ts';

export type TrainerStateErrorCode =
  /** No state of a stopped training, or one made with other options. */
  'TRAINING_STATE_INVALID';

const NAMES = ['parameters', 'average', 'exp_avg', 'exp_avg_sq'] as const;

/** A stopped training as a safetensors file; every number survives exactly. */
export function writeTrainerState(state: TrainerState): Uint8Array {
  const vectors: Readonly<Record<string, Float32Array>> = {
    parameters: state.parameters,
    average: state.average,
    ...(state.optimizer.vectors as Record<string, Float32Array>),
  };
  const tensors = Object.entries(vectors).map(([name, data]): [string, NamedTensor] => [
    name,
    { name, shape: [data.length], data },
  ]);
  return writeSafetensors(new Map(tensors), { metadata: { step: String(state.step) } });
}

/** @throws TRAINING_STATE_INVALID, SAFETENSORS_INVALID */
export function readTrainerState(file: Uint8Array, where: string): TrainerState {
  const { metadata, tensors } = readSafetensors(file, where);
  const step = Number(metadata.get('step'));
  const vectors = new Map(
    NAMES.map((name) => {
      const tensor = tensors.get(name);
      const data = tensor === undefined ? undefined : toFloat32(tensor);
      if (data === undefined || !(Number.isInteger(step) && step >= 0)) {
        throw new TacitError<TrainerStateErrorCode>('TRAINING_STATE_INVALID', `the state has no ${name}`, {
          where,
          fix: 'Delete it to begin again.',
        });
      }
      return [name, data.slice()];
    }),
  );
  const vector = (name: (typeof NAMES)[number]): Float32Array => vectors.get(name) as Float32Array;
  return {
    step,
    parameters: vector('parameters'),
    average: vector('average'),
    optimizer: { step, vectors: { exp_avg: vector('exp_avg'), exp_avg_sq: vector('exp_avg_sq') } },
  };
}
