import * as ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { exportOnnx } from '../../../shared/bert/onnx-export.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { distance, tinyBatch, tinyBert } from '../../support/tiny-bert.ts';

test.each(['pooler', 'mean'] as const)(
  'an exported %s model gives the same numbers, whatever the batch and length',
  async (head) => {
    const bert = await tinyBert(onnxCpuEngine(), { head });
    const session = await ort.InferenceSession.create(exportOnnx(bert.config, bert.weightsNow(), head));
    expect(session.inputNames).toEqual(['input_ids', 'attention_mask', 'token_type_ids']);
    for (const [rows, tokens] of [
      [4, 8],
      [1, 5],
      [7, 12],
    ] as const) {
      const batch = { ...tinyBatch(seededRng(`${rows}`), rows, tokens), tokens };
      const tensor = (x: Int32Array) => new ort.Tensor('int64', BigInt64Array.from(x, BigInt), [rows, tokens]);
      const { logits, features } = await session.run({
        input_ids: tensor(batch.inputIds),
        attention_mask: tensor(batch.attentionMask),
        token_type_ids: tensor(batch.tokenTypeIds),
      });
      expect(logits?.dims).toEqual([rows, 3]);
      expect(distance(logits?.data as Float32Array, await bert.logits(batch))).toBeLessThan(1e-5);
      expect(distance(features?.data as Float32Array, await bert.features(batch))).toBeLessThan(1e-5);
    }
    await session.release();
    await bert.dispose();
  },
);
