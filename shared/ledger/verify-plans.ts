import { equalBytes } from '../core/bytes.ts';
import { canonicalBytes } from '../core/canonical.ts';
import { sha256Hex } from '../core/hash.ts';
import type { BundleFiles } from './bundle.ts';
import type { Entry } from './entries.ts';
import type { Findings } from './verify-findings.ts';

/**
 * Computes the certificate of a plan again from its committed parameters alone. `problems` are claims that do not follow
 * from the parameters (for example a committed noise that the local noise does not give).
 */
export type Recompute = (plan: Entry<'plan.commit'>) => Recomputed | Promise<Recomputed>;
export interface Recomputed {
  readonly epsilon: number;
  readonly problems?: readonly string[];
}

/** Accountants agree to this much, relative to ε. */
const EPSILON_TOLERANCE = 1e-6;

/** The plan document against its hash, and the promise against its parameters. @returns ε as computed here, or null */
export async function verifyPlan(
  entry: Entry<'plan.commit'>,
  files: BundleFiles,
  recompute: Recompute | undefined,
  findings: Findings,
): Promise<number | null> {
  verifyPlanDocument(entry, files, findings);
  if (entry.certificate === null) {
    findings.note(`run ${entry.run} is without differential privacy; it says so and charges no budget`);
    return null;
  }
  if (recompute === undefined) return null;
  const stated = Number(entry.certificate.epsilon);
  const { epsilon, problems = [] } = await recompute(entry);
  if (!(Math.abs(stated - epsilon) <= EPSILON_TOLERANCE * Math.max(stated, epsilon))) {
    findings.fail(
      'EPSILON_WRONG',
      `the ε of run ${entry.run} does not follow from its parameters`,
      `${epsilon}`,
      entry.certificate.epsilon,
    );
  }
  for (const problem of problems)
    findings.fail('CLAIM_FALSE', problem, 'what the parameters give', 'what the plan says');
  return epsilon;
}

/** The document is in the entry, or a file of the bundle; where it is both, they are the same bytes. */
function verifyPlanDocument(entry: Entry<'plan.commit'>, files: BundleFiles, findings: Findings): void {
  const { planHash, plan } = entry;
  const path = `plans/${planHash}.json`;
  const inEntry = plan === null ? undefined : canonicalBytes(plan);
  const file = plan === null ? findings.document('plans', planHash)?.bytes : files.get(path);
  for (const bytes of [inEntry, file]) {
    if (bytes === undefined || sha256Hex(bytes) === planHash) continue;
    const which = bytes === inEntry ? 'the plan document' : path;
    findings.fail('PLAN_HASH_WRONG', `${which} does not have the committed hash`, planHash, sha256Hex(bytes));
  }
  if (inEntry !== undefined && file !== undefined && !equalBytes(inEntry, file))
    findings.fail('PLAN_HASH_WRONG', `${path} is not the plan in the entry`, sha256Hex(inEntry), sha256Hex(file));
}
