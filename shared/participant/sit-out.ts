import { errorCode } from '../core/errors.ts';
import type { SitOutCode } from '../protocol/messages.ts';
import type { Policy } from './policy.ts';

const DAY_MS = 86_400_000;
/** After a failure that may pass. */
const RETRY_MS = 60_000;

/** A reason to leave one round to the others. Nothing in it is about the data. */
export interface Absence {
  readonly code: SitOutCode;
  readonly retryAfterMs: number;
}

/**
 * What a site's own rules say about training now; undefined: go ahead.
 * @param policy - undefined when the site agreed in an earlier life of its process and gave no rules again
 * @param agreedEpsilon - ε that the site's own ledger shows as spent or set aside in the plan's period, this plan's included
 * @param now - milliseconds since 1970
 */
export function absenceNow(policy: Policy | undefined, agreedEpsilon: number, now: number): Absence | undefined {
  if (policy === undefined) return undefined;
  if (agreedEpsilon > policy.maximumEpsilonPerPeriod) return { code: 'BUDGET_SPENT', retryAfterMs: DAY_MS };
  if (policy.hours === undefined) return undefined;
  const wait = untilOpen(policy.hours, now % DAY_MS);
  return wait === 0 ? undefined : { code: 'OUTSIDE_HOURS', retryAfterMs: wait };
}

/** What a failure of training means to the others. */
export function absenceAfter(error: unknown): Absence {
  const text = `${errorCode(error) ?? ''} ${error instanceof Error ? error.message : ''}`;
  const memory = /memory|allocat/i.test(text);
  return { code: memory ? 'OUT_OF_MEMORY' : 'ENGINE_FAILED', retryAfterMs: RETRY_MS };
}

/** Milliseconds until the hours begin; 0 within them. @param time - of the day, milliseconds */
function untilOpen({ from, to }: NonNullable<Policy['hours']>, time: number): number {
  const [start, end] = [ofDay(from), ofDay(to)];
  const open = start <= end ? time >= start && time < end : time >= start || time < end;
  return open ? 0 : (start - time + DAY_MS) % DAY_MS;
}

function ofDay(time: string): number {
  const [hours, minutes] = time.split(':').map(Number) as [number, number];
  return (60 * hours + minutes) * 60_000;
}
