import { TacitError } from '../core/errors.ts';
import { type BatchShape, withoutExamples } from './batch.ts';
import type { BertErrorCode } from './errors.ts';
import type { Gradients, LabelledBatch } from './types.ts';

/**
 * A backward pass, and where a unit's loss or gradient is not finite a second one without that unit: one text with
 * numbers that overflow must not take the others' part of the sum with it.
 * @throws BERT_NOT_FINITE when nothing is finite whatever the examples
 */
export async function finiteGradients(
  batch: LabelledBatch,
  shape: BatchShape,
  recordsPerUnit: number,
  backward: (batch: LabelledBatch) => Promise<Gradients>,
): Promise<Gradients> {
  const first = await backward(batch);
  const dropped = notFinite(first, recordsPerUnit);
  if (dropped.length === 0) return first;
  const second = await backward(withoutExamples(batch, dropped, shape));
  if (notFinite(second, recordsPerUnit).length === 0) return { ...second, dropped };
  throw new TacitError<BertErrorCode>('BERT_NOT_FINITE', 'losses or gradients are not finite whatever the examples', {
    fix: 'The weights are broken: start again from an earlier round or with a lower learning rate.',
  });
}

/** @throws BERT_BATCH_INVALID */
export function requireWholeUnits(batch: number, recordsPerUnit: number): void {
  if (Number.isInteger(recordsPerUnit) && recordsPerUnit > 0 && batch % recordsPerUnit === 0) return;
  throw new TacitError<BertErrorCode>(
    'BERT_BATCH_INVALID',
    `a batch of ${batch} has no whole units of ${recordsPerUnit}`,
  );
}

/** Examples of units whose loss or norm is not finite. */
function notFinite({ losses, norms }: Gradients, recordsPerUnit: number): number[] {
  const bad = (b: number): boolean =>
    !Number.isFinite(losses[b]) || (norms.length > 0 && !Number.isFinite(norms[Math.floor(b / recordsPerUnit)]));
  const units = new Set([...losses.keys()].filter(bad).map((b) => Math.floor(b / recordsPerUnit)));
  return [...losses.keys()].filter((b) => units.has(Math.floor(b / recordsPerUnit)));
}
