import { checked, privacyError } from '../errors.ts';
import type { PrivacyEvent } from '../events.ts';
import { convert, DEFAULT_ORDERS, rdpOf } from './rdp.ts';

/** A privacy filter: how much of a fixed order's Rényi budget is used. Plain data, so that it can be stored. */
export interface PrivacyFilter {
  readonly epsilon: number;
  readonly delta: number;
  /** Fixed when the budget is opened; changing it later would void the guarantee. */
  readonly order: number;
  /** Rényi divergence of that order that may be spent. */
  readonly allowance: number;
  readonly spent: number;
}

/**
 * Opens a filter: releases may then be chosen one by one, each in view of the ones before, and the whole stays
 * (ε, δ)-DP (Feldman & Zrnic 2021, "Individual privacy accounting via a Rényi filter", Theorem 4.3: a filter at one
 * order fixed in advance). Stopping when a running PLD value reaches the budget is not valid, so none is offered.
 * @param foreseen - what is expected to be released: only to choose the order well
 */
export function openFilter(epsilon: number, delta: number, foreseen: readonly PrivacyEvent[]): PrivacyFilter {
  checked('epsilon', epsilon, { moreThan: 0, max: 1e6 });
  checked('delta', delta, { moreThan: 0, lessThan: 1 });
  const divergences = rdpOf(foreseen);
  let best: PrivacyFilter | undefined;
  let bestShare = Number.POSITIVE_INFINITY;
  for (const [i, order] of DEFAULT_ORDERS.entries()) {
    const allowance = allowanceAt(order, epsilon, delta);
    const share = (divergences[i] as number) / allowance;
    if (allowance > 0 && share < bestShare) {
      best = { epsilon, delta, order, allowance, spent: 0 };
      bestShare = share;
    }
  }
  if (best !== undefined) return best;
  throw privacyError(
    'PRIVACY_CALIBRATION_IMPOSSIBLE',
    `no Rényi order allows anything within ε = ${epsilon}, δ = ${delta}`,
    {
      fix: 'Give a larger ε or δ.',
    },
  );
}

/** ρ whose conversion at this order is just ε: the conversion is ρ plus a term of order and δ. */
function allowanceAt(order: number, epsilon: number, delta: number): number {
  return epsilon - Math.log1p(-1 / order) + (Math.log(delta) + Math.log(order)) / (order - 1);
}

/** True when these events may still be released under the filter. */
export function filterAllows(filter: PrivacyFilter, events: readonly PrivacyEvent[]): boolean {
  return filter.spent + costAt(filter, events) <= filter.allowance;
}

/** The filter after these events. @throws PRIVACY_FILTER_EXHAUSTED when they do not fit; nothing may be released then */
export function spendFromFilter(filter: PrivacyFilter, events: readonly PrivacyEvent[]): PrivacyFilter {
  const spent = filter.spent + costAt(filter, events);
  if (spent > filter.allowance) {
    throw privacyError('PRIVACY_FILTER_EXHAUSTED', `the release would take the budget to ε above ${filter.epsilon}`, {
      fix: 'Stop here: what was released so far stays within the budget.',
    });
  }
  return { ...filter, spent };
}

/** ε that the spent part amounts to at the filter's δ; for display, the filter itself compares divergences. */
export function filterEpsilon(filter: PrivacyFilter): number {
  return filter.spent === 0 ? 0 : convert(filter.spent, filter.order, filter.delta);
}

function costAt(filter: PrivacyFilter, events: readonly PrivacyEvent[]): number {
  return rdpOf(events, [filter.order])[0] as number;
}
