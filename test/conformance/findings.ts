/** One comparison. `error` is in the unit of `tolerance`; exact comparisons have 0 and 0, or infinity and 0. */
export interface Finding {
  readonly what: string;
  readonly error: number;
  readonly tolerance: number;
}

/** A number that must be within `relative` of the expected one, or of `floor` where that is smaller. */
export function near(what: string, actual: number, expected: number, relative: number, floor = 0): Finding {
  return {
    what,
    error: Math.abs(actual - expected) / Math.max(floor, Math.abs(expected), 1e-300),
    tolerance: relative,
  };
}

/** The worst element of two lists. A wrong length is an infinite error. */
export function allNear(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  floor = 0,
): Finding {
  if (actual.length !== expected.length) return { what, error: Number.POSITIVE_INFINITY, tolerance: relative };
  const errors = Array.from(expected, (e, i) => near(what, actual[i] as number, e, relative, floor).error);
  return { what, error: errors.reduce((a, b) => Math.max(b, a), 0), tolerance: relative };
}

/** Equal as JSON, and −0 apart from 0. */
export function same(what: string, actual: unknown, expected: unknown): Finding {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_, v: unknown) =>
      typeof v === 'number' && (v === 0 || !Number.isFinite(v)) ? shown(v) : v,
    );
  return { what, error: text(actual) === text(expected) ? 0 : Number.POSITIVE_INFINITY, tolerance: 0 };
}

const shown = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

/** Not-a-number fails. */
export function failed({ error, tolerance }: Finding): boolean {
  return !(error <= tolerance);
}

/** What a runner prints, and what it counted. */
export interface Verdict {
  readonly lines: readonly string[];
  readonly passed: number;
  readonly failed: number;
}

/** Of each kind of finding, the one nearest to or furthest beyond its tolerance; then every failure. */
export function verdictOf(findings: readonly Finding[], kindOf: (what: string) => string): Verdict {
  const worst = new Map<string, Finding>();
  for (const finding of findings) {
    const known = worst.get(kindOf(finding.what));
    if (known === undefined || used(finding) > used(known)) worst.set(kindOf(finding.what), finding);
  }
  const wrong = findings.filter(failed);
  return {
    lines: [...[...worst.values()].map(line), ...wrong.map((finding) => `FAILED ${line(finding)}`)],
    passed: findings.length - wrong.length,
    failed: wrong.length,
  };
}

const used = ({ error, tolerance }: Finding): number => (error === 0 ? 0 : error / tolerance);
const line = ({ what, error, tolerance }: Finding): string =>
  `${error.toExponential(2)} of ${tolerance.toExponential(0)}  ${what}`;
