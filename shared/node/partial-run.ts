import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { TacitError } from '../core/errors.ts';
import type { TeacherOutputs } from '../training/distillation/distil.ts';
import type { TrainerState } from '../training/pretraining/trainer.ts';
import {
  readTrainerState,
  type TrainerStateErrorCode,
  writeTrainerState,
} from '../training/pretraining/trainer-state.ts';

/** The folder beside a training's output that holds what a stopped run goes on from. */
export class PartialRun {
  readonly folder: string;
  /** Of the steps taken before, in order. */
  readonly losses: readonly number[];
  readonly state: TrainerState | undefined;
  readonly #identity: string;

  private constructor(folder: string, identity: string, losses: readonly number[], state: TrainerState | undefined) {
    this.folder = folder;
    this.#identity = identity;
    this.losses = losses;
    this.state = state;
  }

  /**
   * @param identity everything that decides the result: only the same run is gone on with
   * @throws TRAINING_STATE_INVALID
   */
  static async open(folder: string, identity: Readonly<Record<string, unknown>>): Promise<PartialRun> {
    await mkdir(folder, { recursive: true });
    const mine = JSON.stringify(identity);
    const known = await readIfThere(join(folder, 'run.json'));
    if (known === undefined) {
      await replace(join(folder, 'run.json'), JSON.stringify({ identity: mine, losses: [] }));
      return new PartialRun(folder, mine, [], undefined);
    }
    const { identity: other, losses } = parseRun(known, join(folder, 'run.json'));
    if (other !== mine) {
      throw new TacitError<TrainerStateErrorCode>('TRAINING_STATE_INVALID', 'this was begun with other options', {
        where: folder,
        fix: 'Run with the same options and texts, or delete the folder to begin again.',
      });
    }
    const stored = await readIfThere(join(folder, 'state.safetensors'));
    const state = stored === undefined ? undefined : readTrainerState(stored, join(folder, 'state.safetensors'));
    return new PartialRun(folder, mine, losses.slice(0, state?.step ?? 0), state);
  }

  /** State first: losses beyond its step are dropped when it is opened. */
  async save(state: TrainerState, losses: readonly number[]): Promise<void> {
    await replace(join(this.folder, 'state.safetensors'), writeTrainerState(state));
    await replace(join(this.folder, 'run.json'), JSON.stringify({ identity: this.#identity, losses }));
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}

const runSchema = z.strictObject({ identity: z.string(), losses: z.array(z.number()) });

function parseRun(bytes: Buffer, where: string): z.infer<typeof runSchema> {
  const parsed = runSchema.safeParse(readJson(bytes.toString('utf8')));
  if (parsed.success) return parsed.data;
  throw new TacitError<TrainerStateErrorCode>(
    'TRAINING_STATE_INVALID',
    'this is not the record of a stopped training',
    {
      where,
      fix: 'Delete the folder to begin again.',
    },
  );
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A teacher's outputs in a file, block after block; a block that was half written is asked for again. */
export function teacherOutputFile(path: string, numbersPerBlock: number): TeacherOutputs & { close(): void } {
  const file = openSync(path, 'a+');
  const size = 4 * numbersPerBlock;
  let blocks = Math.floor(fstatSync(file).size / size);
  ftruncateSync(file, blocks * size);
  return {
    get(block) {
      if (block >= blocks) return undefined;
      const numbers = new Float32Array(numbersPerBlock);
      readSync(file, new Uint8Array(numbers.buffer), 0, size, block * size);
      return numbers;
    },
    put(block, means) {
      if (block !== blocks) return;
      writeSync(file, new Uint8Array(means.buffer, means.byteOffset, means.byteLength));
      blocks += 1;
    },
    close: () => closeSync(file),
  };
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Written beside and renamed: a crash leaves the old file or the new one. */
async function replace(path: string, content: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}
