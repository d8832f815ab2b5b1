import { expect, test } from 'vitest';
import { fillGaussian } from '../../../../shared/bert/parameters.ts';
import { seededRng } from '../../../../shared/core/rng.ts';
import { createTokenizer } from '../../../../shared/text/tokenizer.ts';
import { StudentTexts } from '../../../../shared/training/distillation/student-batches.ts';
import { fitSentenceSpace, toTargets } from '../../../../shared/training/distillation/targets.ts';
import { vocabulary } from '../pretraining/fixture.ts';

test('targets have unit length, each layer its equal part, and lose the means that all texts share', () => {
  const [rows, layers, width] = [400, 3, 4];
  const means = new Float32Array(rows * layers * width);
  fillGaussian(means, 1, seededRng('means'));
  // One direction far larger than the others, and far from zero.
  for (let i = 0; i < means.length; i += width) means[i] = 50 + 20 * (means[i] as number);
  const targets = toTargets(means, fitSentenceSpace(means, layers, width));
  const centre = new Float64Array(layers * width);
  for (let row = 0; row < rows; row++) {
    const target = targets.subarray(row * layers * width, (row + 1) * layers * width);
    expect(Math.hypot(...target)).toBeCloseTo(1, 5);
    for (let l = 0; l < layers; l++)
      expect(Math.hypot(...target.subarray(l * width, (l + 1) * width))).toBeCloseTo(Math.sqrt(1 / 3), 5);
    for (const [i, x] of target.entries()) centre[i] = (centre[i] as number) + x / rows;
  }
  expect(Math.hypot(...centre)).toBeLessThan(0.2);
});

test('a pass has every text at most once, in batches of one length, in an order that the seed decides', () => {
  const tokenizer = createTokenizer({ vocabulary: vocabulary.join('\n') });
  const words = ['license', 'work', 'the', 'of', 'shall'];
  const texts = Array.from({ length: 90 }, (_, i) =>
    Array(1 + i)
      .fill(words[i % 5])
      .join(' '),
  );
  const student = new StudentTexts(texts, tokenizer, 64, 256);
  const pass = student.pass('a');
  expect(pass.length).toBe(student.batches);
  const used = pass.flatMap((b) => b.texts);
  expect(new Set(used).size).toBe(used.length);
  expect(student.pass('a')).toEqual(pass);
  expect(student.pass('b')).not.toEqual(pass);
  for (const chosen of pass) {
    const batch = student.batch(chosen);
    expect(batch.inputIds.length).toBeLessThanOrEqual(256);
    for (const [row, text] of batch.texts.entries()) {
      const mask = batch.attentionMask.subarray(row * batch.tokens, (row + 1) * batch.tokens);
      const { ids } = tokenizer.encode(texts[text] as string, 64);
      expect(mask.reduce((sum, m) => sum + m, 0)).toBe(ids.length);
      expect(batch.tokens - ids.length).toBeLessThan(16);
    }
  }
});
