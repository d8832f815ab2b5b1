import { LIMITS } from '../../shared/core/limits.ts';
import { parseYaml, readTextFile } from '../../shared/node/documents.ts';
import { type Plan, parsePlan } from '../../shared/protocol/plan.ts';

/**
 * A plan from a YAML or JSON file, checked before anything is asked of anybody.
 * @throws FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE, DOCUMENT_INVALID, PLAN_INVALID, PLAN_CLAIM_FALSE
 */
export async function readPlanFile(path: string): Promise<{ readonly plan: Plan; readonly text: string }> {
  const text = await readTextFile(path, LIMITS.planBytes);
  return { plan: parsePlan(parseYaml(text, path), path), text };
}
