import { systemRng } from '../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { commitTerms } from '../../shared/protocol/commitment.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import type { Terms } from '../../shared/protocol/terms.ts';
import { readModelFiles } from '../models/model-files.ts';
import { GlobalModel } from '../rounds/global-model.ts';

/** What a plan would commit to, with its model opened only to see how many numbers each stage sends. @throws FILE_*, PRIVACY_* */
export async function termsOf(plan: Plan): Promise<Terms> {
  const model = new GlobalModel({
    plan,
    files: await readModelFiles(plan.model.from),
    engine: onnxCpuEngine(),
    rng: systemRng,
  });
  try {
    return commitTerms(plan, [], await model.layouts());
  } finally {
    await model.dispose();
  }
}
