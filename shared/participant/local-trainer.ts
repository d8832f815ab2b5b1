import type { ModelFiles } from '../bert/directory.ts';
import { TacitError } from '../core/errors.ts';
import type { Rng } from '../core/rng.ts';
import type { Engine } from '../engine/engine.ts';
import { layoutHash } from '../protocol/commitment.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { examplesOf } from '../protocol/plan-examples.ts';
import { openStageModel, openTokenizer, type StageModel } from '../protocol/stage-model.ts';
import type { Terms } from '../protocol/terms.ts';
import type { Examples } from '../text/encode.ts';
import { createFeatureCache, type FeatureCache } from '../training/features.ts';
import { type Units, unitsOf } from '../training/units.ts';
import { localUpdate } from './local-update.ts';
import type { TrainedSum, Trainer, TrainerFactory } from './trainer.ts';

/** Trains with `engine`. The records stay inside the trainer. */
export function localTrainer(options: { readonly engine: Engine; readonly rng: Rng }): TrainerFactory {
  return async (terms, records, blob) => {
    const { signal } = new AbortController();
    const files = new Map<string, Uint8Array>();
    for (const file of terms.model) files.set(file.name, await blob(file.sha256, signal));
    const examples = examplesOf(terms.plan, records, openTokenizer(files), options.rng);
    const persons = terms.plan.privacy.unit === 'person';
    return new LocalTrainer({
      ...options,
      terms,
      files,
      examples,
      units: persons ? unitsOf(records) : undefined,
      blob,
    });
  };
}

interface Setup {
  readonly engine: Engine;
  readonly rng: Rng;
  readonly terms: Terms;
  readonly files: ModelFiles;
  readonly examples: Examples;
  /** Whose examples they are, when the unit of privacy is a person. */
  readonly units: Units | undefined;
  readonly blob: Parameters<TrainerFactory>[2];
}

class LocalTrainer implements Trainer {
  readonly #s: Setup;
  /** The stage in progress; a new stage or new overlays make a new model. */
  #stage: (StageModel & { readonly key: string; readonly features: FeatureCache | undefined }) | undefined;

  constructor(setup: Setup) {
    this.#s = setup;
  }

  async update(request: Parameters<Trainer['update']>[0]): Promise<TrainedSum> {
    const { bert, shape, features } = await this.#open(request.stage, request.overlays, request.signal);
    const { examples, units, terms, rng } = this.#s;
    bert.setTrainable(request.flat);
    return localUpdate({
      bert,
      shape,
      terms,
      stage: request.stage,
      examples,
      rng,
      signal: request.signal,
      ...(units === undefined ? {} : { units }),
      ...(features === undefined ? {} : { features }),
    });
  }

  async dispose(): Promise<void> {
    await this.#stage?.bert.dispose();
    this.#stage = undefined;
  }

  async #open(stage: number, overlays: readonly string[], signal: AbortSignal) {
    const key = `${stage} ${overlays.join(' ')}`;
    if (this.#stage?.key === key) return this.#stage;
    await this.dispose();
    const { engine, files, terms, rng, examples, blob } = this.#s;
    const overlayBytes: Uint8Array[] = [];
    for (const sha256 of overlays) overlayBytes.push(await blob(sha256, signal));
    const model = await openStageModel({ engine, files, overlays: overlayBytes, plan: terms.plan, stage, rng });
    const committed = terms.stages[stage]?.layoutSha256;
    if (layoutHash(model.bert.trainableLayout) !== committed) {
      await model.bert.dispose();
      throw new TacitError<ProtocolErrorCode>(
        'PLAN_CLAIM_FALSE',
        'the model trains other numbers than the plan committed to',
        { where: `stage ${stage}` },
      );
    }
    const features =
      model.kind === 'labelled' && terms.plan.stages[stage]?.train === 'head'
        ? createFeatureCache(model.bert, examples, model.shape)
        : undefined;
    this.#stage = { ...model, key, features };
    return this.#stage;
  }
}
