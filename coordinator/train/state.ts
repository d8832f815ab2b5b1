import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { TacitError } from '../../shared/core/errors.ts';
import type { DocumentErrorCode } from '../../shared/node/documents.ts';
import type { NamedTensor } from '../../shared/tensor/named.ts';
import { readSafetensors, toFloat32, writeSafetensors } from '../../shared/tensor/safetensors.ts';
import type { WatchState } from '../../shared/training/early-stopping.ts';
import type { TrainingState } from '../../shared/training/local.ts';
import type { TrainSettings } from './settings.ts';

/** Where an interrupted `tacit train` stands: one safetensors file beside the output directory. */
export interface SavedTraining {
  readonly seed: string;
  readonly training: TrainingState;
  readonly watched: WatchState;
}

export function statePath(out: string): string {
  return `${out}.state.safetensors`;
}

/** Written beside and renamed, so that a crash in the middle leaves the older state. */
export async function saveState(settings: TrainSettings, saved: SavedTraining): Promise<void> {
  const { training, watched, seed } = saved;
  const vectors: [string, Float32Array][] = [
    ['weights', training.weights],
    ['best', watched.best.weights],
    ...Object.entries(training.optimizer.vectors).map(([name, v]): [string, Float32Array] => [
      `optimizer.${name}`,
      Float32Array.from(v),
    ]),
  ];
  const metadata = {
    settings: settingsKey(settings),
    seed,
    step: String(training.step),
    optimizerStep: String(training.optimizer.step),
    bestStep: String(watched.best.step),
    bestLoss: String(watched.best.loss),
    worse: String(watched.worse),
  };
  const tensors = vectors.map(([name, data]): [string, NamedTensor] => [name, { name, shape: [data.length], data }]);
  const path = statePath(settings.out);
  await writeFile(`${path}.part`, writeSafetensors(new Map(tensors), { metadata }));
  await rename(`${path}.part`, path);
}

/** @throws FILE_MISSING, DOCUMENT_INVALID when it belongs to other options, SAFETENSORS_INVALID */
export async function loadState(settings: TrainSettings): Promise<SavedTraining> {
  const path = statePath(settings.out);
  if (!existsSync(path)) {
    throw new TacitError<DocumentErrorCode>('FILE_MISSING', 'there is nothing to resume', {
      where: path,
      fix: 'Run without --resume.',
    });
  }
  const { metadata, tensors } = readSafetensors(new Uint8Array(await readFile(path)), path);
  const text = (name: string): string => metadata.get(name) ?? '';
  if (text('settings') !== settingsKey(settings)) {
    throw new TacitError<DocumentErrorCode>('DOCUMENT_INVALID', 'it was left by a training with other options', {
      where: path,
      fix: 'Give the same flags as before and --resume, or delete the file.',
    });
  }
  const vector = (name: string): Float32Array => {
    const tensor = tensors.get(name);
    return (tensor === undefined ? undefined : toFloat32(tensor)) ?? new Float32Array(0);
  };
  const optimizer = [...tensors.keys()].filter((name) => name.startsWith('optimizer.'));
  return {
    seed: text('seed'),
    training: {
      step: Number(text('step')),
      weights: vector('weights'),
      optimizer: {
        step: Number(text('optimizerStep')),
        vectors: Object.fromEntries(optimizer.map((name) => [name.slice('optimizer.'.length), vector(name)])),
      },
    },
    watched: {
      best: { step: Number(text('bestStep')), loss: Number(text('bestLoss')), weights: vector('best') },
      worse: Number(text('worse')),
    },
  };
}

export async function removeState(out: string): Promise<void> {
  await rm(statePath(out), { force: true });
}

/** Every option that decides what the steps are. */
function settingsKey({ resume: _resume, out: _out, ...rest }: TrainSettings): string {
  return JSON.stringify(rest);
}
