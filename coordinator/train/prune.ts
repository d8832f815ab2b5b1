import type { ModelDirectory } from '../../shared/bert/directory.ts';
import { createBert } from '../../shared/bert/model.ts';
import { systemRng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { openTokenizer } from '../../shared/protocol/stage-model.ts';
import { unflatten } from '../../shared/tensor/layout.ts';
import type { Weights } from '../../shared/tensor/named.ts';
import { encodeRecords } from '../../shared/text/encode.ts';
import { logitsOf } from '../../shared/training/evaluate.ts';
import { trainLocally } from '../../shared/training/local.ts';
import { keptMask } from '../../shared/training/pruning.ts';
import { type TaskMetrics, taskMetrics } from '../../shared/training/task-metrics.ts';
import { requireClassifier, taskOf } from '../models/local-model.ts';
import { readTrainData } from './data.ts';
import { parseSettings, TRAIN_DEFAULTS } from './settings.ts';

export interface PruneData {
  readonly data?: string;
  readonly text: string;
  readonly label: string;
  readonly labelValues?: string;
  readonly epochs: string;
  readonly learningRate: string;
}

/** After a pruning step: trains what is left (pruned weights stay zero) and measures on a tenth that is held out. */
export async function fineTunePruned(
  model: ModelDirectory,
  options: PruneData,
  engine: Engine,
): Promise<(weights: Weights, train: boolean) => Promise<{ weights: Weights; metrics: TaskMetrics }>> {
  const { config, head, tokenizer } = model;
  const labels = requireClassifier(model, 'classifier.weight');
  const task = taskOf(model);
  const names = config.labelNames ?? Array.from({ length: labels }, (_, i) => `LABEL_${i}`);
  const { data, text, label, labelValues, learningRate } = options;
  const asked = { data, text, label, labelValues, learningRate };
  const settings = parseSettings({ ...TRAIN_DEFAULTS, ...asked, task: words[task] });
  const { train, held } = await readTrainData(settings, names, systemRng);
  const shape = { batch: 16, tokens: Math.min(128, config.maxPositions) };
  const pieces = openTokenizer(tokenizer);
  const [examples, measured] = [train, held.length > 0 ? held : train].map((records) =>
    encodeRecords(records, pieces, { labels: names, maxTokens: shape.tokens }),
  ) as [ReturnType<typeof encodeRecords>, ReturnType<typeof encodeRecords>];
  const epochs = Number(options.epochs);
  return async (weights, tune) => {
    const bert = await createBert({
      engine,
      config,
      weights,
      head,
      labels,
      task,
      trainable: 'all',
      shape,
      rng: systemRng,
    });
    try {
      const { trainableLayout: layout } = bert;
      const kept = keptMask(weights, layout);
      if (tune && epochs > 0) {
        const steps = trainLocally({
          bert,
          examples,
          shape,
          epochs,
          batchSize: 32,
          optimizer: { kind: 'adamw' },
          schedule: { kind: 'constant', learningRate: settings.learningRate },
          rng: systemRng,
        });
        for await (const _ of steps);
        bert.setTrainable(bert.trainable().map((x, i) => (kept[i] === 1 ? x : 0)));
      }
      const logits = await logitsOf(bert, measured, labels, shape);
      const trained = new Map([...weights, ...unflatten(bert.trainable(), layout)]);
      return { weights: trained, metrics: taskMetrics(task, logits, measured, labels) };
    } finally {
      await bert.dispose();
    }
  };
}

const words = { single_label: 'classification', multi_label: 'multi-label', regression: 'regression' } as const;
