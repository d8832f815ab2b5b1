import { readFile } from 'node:fs/promises';
import type { ModelFiles } from '../../shared/bert/directory.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import { requireFedSgd } from '../../shared/protocol/plan-stage.ts';
import { openStageModel } from '../../shared/protocol/stage-model.ts';
import type { Examples } from '../../shared/text/encode.ts';
import { centralRounds } from '../../shared/training/central.ts';
import { createFeatureCache } from '../../shared/training/features.ts';
import { better, scoreOf } from '../rounds/evaluation.ts';
import { GlobalModel } from '../rounds/global-model.ts';
import type { HeldOut, TestScore } from '../service.ts';
import type { Shard } from './mail-data.ts';

/**
 * The same stages, clip, sampling and server steps over the same data in this one process, without noise: what privacy cost.
 * Nothing of it is published or charged; it is possible only because this command made the shards itself.
 */
export async function trainWithoutNoise(options: {
  readonly plan: Plan;
  readonly files: ModelFiles;
  readonly engine: Engine;
  readonly shards: readonly Shard[];
  readonly heldOut: HeldOut;
  readonly rng: Rng;
}): Promise<TestScore> {
  const { plan, heldOut } = options;
  const model = new GlobalModel(options);
  const silos = await Promise.all(
    options.shards.map(async (s) => model.examples(new Uint8Array(await readFile(s.file)), options.rng)),
  );
  const validation = model.encode(heldOut.validation);
  const test = model.encode(heldOut.test);
  let best: Best | undefined;
  for (const stage of plan.stages.keys()) {
    // As in the run: a stage starts from the best evaluated model so far.
    const carried = best === undefined ? [] : [await model.brought(best.stage, best.overlays, best.flat)];
    const { flat, overlay } = await model.start(stage, carried);
    const overlays = overlay === undefined ? carried : [...carried, overlay];
    for await (const { round, published } of stageRounds({ ...options, stage, overlays, flat, silos })) {
      if (round % plan.evaluation.every !== 0 && round !== plan.stages[stage]?.rounds) continue;
      const score = scoreOf(await model.evaluate(stage, overlays, published, validation));
      if (best === undefined || better(plan.task.kind, score, best.score))
        best = { stage, overlays, flat: published.slice(), score };
    }
  }
  if (best === undefined) throw new RangeError('a plan has at least one round');
  const score = scoreOf(await model.evaluate(best.stage, best.overlays, best.flat, test));
  await model.dispose();
  return score;
}

/** The best evaluated model so far, on validation. */
interface Best {
  readonly stage: number;
  readonly overlays: readonly Uint8Array[];
  readonly flat: Float32Array;
  readonly score: TestScore;
}

async function* stageRounds(options: {
  readonly plan: Plan;
  readonly files: ModelFiles;
  readonly engine: Engine;
  readonly rng: Rng;
  readonly stage: number;
  readonly overlays: readonly Uint8Array[];
  readonly flat: Float32Array;
  readonly silos: readonly Examples[];
}) {
  const { plan, stage, rng } = options;
  const model = await openStageModel(options);
  const { bert, shape } = model;
  bert.setTrainable(options.flat);
  const words = requireFedSgd(plan.stages[stage] as Plan['stages'][number]);
  const { average, ...server } = words.server;
  const silos = options.silos.map((examples) => ({
    examples,
    ...(model.kind === 'labelled' && words.train === 'head'
      ? { features: createFeatureCache(model.bert, examples, shape) }
      : {}),
  }));
  try {
    yield* centralRounds({ bert, shape, silos, rng, ...words, server, average });
  } finally {
    await bert.dispose();
  }
}
