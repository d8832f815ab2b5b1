import { z } from 'zod';
import { canonicalBytes, type Json } from '../core/canonical.ts';
import { TacitError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import { issueInWords } from '../core/issues.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { labelsOf, type Plan } from '../protocol/plan.ts';

const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'write a time of day as 08:00');

const schema = z.strictObject({
  /** Largest ε of one plan, at or below `maximumDelta`. */
  maximumEpsilon: z.number().positive().max(1000),
  maximumDelta: z.number().gt(0).lt(0.01),
  /** Largest ε over all plans of one period on this data. */
  maximumEpsilonPerPeriod: z.number().positive().max(10_000),
  /** Fewest clients among whom an update must hide. */
  minimumCohort: z.number().int().min(3).max(1000),
  /** Colluding clients that the noise must withstand. */
  minimumColluders: z.number().int().min(0).max(500),
  maximumRounds: z.number().int().min(1).max(1_000_000),
  /** Plans that promise nothing may have this data: for public data and debugging. */
  withoutPrivacy: z.boolean().optional(),
  /** When this site's machines may train, `HH:MM` in UTC; absent = always. An end before the start is on the next day. */
  hours: z.strictObject({ from: clockTime, to: clockTime }).optional(),
  /** Label sets that this data may be used for; absent = any. */
  labels: z.array(z.array(z.string())).optional(),
  /** Data scopes (as in the plan) that this data belongs to. */
  scopes: z.array(z.string().min(1)).min(1),
});

/** A site's own rules. Nobody pushes a policy to a site; without one every plan is refused. */
export type Policy = z.output<typeof schema>;

/** @throws POLICY_INVALID with every problem and its path */
export function parsePolicy(document: unknown, where: string): Policy {
  const parsed = schema.safeParse(document);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(issueInWords).join('; ');
  throw new TacitError('POLICY_INVALID', problems, {
    where,
    fix: 'Correct these fields; docs/POLICY.md has an example.',
  });
}

export function policyHash(policy: Policy): string {
  return sha256Hex(canonicalBytes(policy as unknown as Json));
}

/**
 * Refuses a plan that this site does not allow.
 * @param spentEpsilon - ε that this site's own ledger shows as spent or reserved in the plan's period
 * @throws POLICY_MISSING, POLICY_REFUSED (the sentence says which rule and both values)
 */
export function enforcePolicy(policy: Policy | undefined, plan: Plan, spentEpsilon: number): void {
  if (policy === undefined) {
    throw new TacitError<ProtocolErrorCode>('POLICY_MISSING', 'this site has no policy, and absent means refuse', {
      fix: 'Write a policy file and pass it with --policy.',
    });
  }
  const reason = firstObjection(policy, plan, spentEpsilon);
  if (reason !== undefined)
    throw new TacitError<ProtocolErrorCode>('POLICY_REFUSED', reason, { where: `plan ${plan.name}` });
}

function firstObjection(policy: Policy, plan: Plan, spentEpsilon: number): string | undefined {
  const { privacy, secureAggregation, stages } = plan;
  if (!policy.scopes.includes(privacy.scope))
    return `data scope ${privacy.scope} is not among ${policy.scopes.join(', ')}`;
  const known = labelsOf(plan);
  const sameLabels = (labels: readonly string[]) =>
    labels.length === known.length && labels.every((l) => known.includes(l));
  if (policy.labels !== undefined && !policy.labels.some(sameLabels))
    return known.length === 0
      ? 'texts without labels are not permitted: this site names the label sets that its data may be used for'
      : `labels ${known.join(', ')} are not permitted`;
  if (secureAggregation.minimumCohort < policy.minimumCohort) {
    return `cohort of ${secureAggregation.minimumCohort} is below this site's minimum of ${policy.minimumCohort}`;
  }
  if (secureAggregation.colluders < policy.minimumColluders) {
    return `noise for ${secureAggregation.colluders} colluder(s) is below this site's minimum of ${policy.minimumColluders}`;
  }
  const rounds = stages.reduce((n, s) => n + s.rounds, 0);
  if (rounds > policy.maximumRounds) return `${rounds} rounds are more than this site's ${policy.maximumRounds}`;
  if (privacy.unit === 'none')
    return policy.withoutPrivacy
      ? undefined
      : `it promises no privacy (${privacy.because}), and this site does not allow that for ${privacy.scope}`;
  if (privacy.epsilon > policy.maximumEpsilon)
    return `epsilon ${privacy.epsilon} is above this site's ${policy.maximumEpsilon} for a plan`;
  if (privacy.delta > policy.maximumDelta) return `delta ${privacy.delta} is above this site's ${policy.maximumDelta}`;
  if (spentEpsilon + privacy.epsilon > policy.maximumEpsilonPerPeriod) {
    return `epsilon ${spentEpsilon} is spent in period ${privacy.period}; ${privacy.epsilon} more would pass this site's ${policy.maximumEpsilonPerPeriod}`;
  }
  return undefined;
}
