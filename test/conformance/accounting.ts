import { readFileSync } from 'node:fs';
import {
  calibrateNoise,
  deltaOf,
  epsilonOf,
  rdpEpsilon,
  rdpOf,
  zcdpEpsilon,
} from '../../shared/privacy/accountant/index.ts';
import type { PrivacyEvent } from '../../shared/privacy/events.ts';
import { conformanceCommand } from './command.ts';
import type { Verdict } from './findings.ts';

type Row = Record<string, number> & {
  pldDeltas?: { epsilon: number; cleanDelta: number }[];
  parts?: Row[];
  rdpPerStep?: number[];
};
type Vectors = Record<string, Row[]> & { rdp?: { orders: number[]; defaultOrders?: number[]; cases: Row[] } };

/** One comparison: its error in units of what is allowed. */
interface Check {
  readonly section: string;
  readonly what: string;
  readonly error: number;
  readonly allowed: number;
}

/** Compares the accountants with a file in the format of test/vectors/accounting.json. */
function checkAll(vectors: Vectors): Check[] {
  const orders = vectors.rdp?.orders ?? [];
  return [
    ...rows(vectors, 'gaussian_exact', gaussianEpsilon),
    ...rows(vectors, 'gaussian_delta_exact', gaussianDelta),
    ...rows(vectors, 'poisson', (section, row) => composed(section, row, [row], orders)),
    ...rows(vectors, 'poisson_single_step_exact', singleEpsilon),
    ...rows(vectors, 'poisson_single_step_delta_exact', singleDelta),
    ...rows(vectors, 'zcdp', zcdp),
    ...rows(vectors, 'heterogeneous', (section, row) => composed(section, row, row.parts ?? [], orders)),
    ...(vectors.rdp?.cases ?? []).flatMap((row) => renyi(row, orders, vectors.rdp?.defaultOrders)),
    ...rows(vectors, 'calibration', calibration),
  ];
}

function rows(vectors: Vectors, section: string, check: (section: string, row: Row) => Check[]): Check[] {
  return (vectors[section] ?? []).flatMap((row) => check(section, row));
}

const relative = (section: string, what: string, value: number, expected: number, allowed: number): Check => ({
  section,
  what: `${what}: ${value}, expected ${expected}`,
  error: expected === 0 ? Math.abs(value) : Math.abs(value / expected - 1),
  allowed,
});

const sampled = (row: Row): PrivacyEvent => ({
  kind: 'poisson-gaussian',
  noiseMultiplier: row.noiseMultiplier as number,
  samplingProbability: row.samplingRate as number,
  count: row.steps ?? 1,
});
const plain = (row: Row): PrivacyEvent => ({
  kind: 'gaussian',
  noiseMultiplier: row.noiseMultiplier as number,
  count: row.steps as number,
});

function gaussianEpsilon(section: string, row: Row): Check[] {
  return [relative(section, 'epsilon', epsilonOf([plain(row)], row.delta as number), row.epsilon as number, 1e-10)];
}

function gaussianDelta(section: string, row: Row): Check[] {
  return [relative(section, 'delta', deltaOf([plain(row)], row.epsilon as number), row.delta as number, 1e-9)];
}

function singleEpsilon(section: string, row: Row): Check[] {
  return [relative(section, 'epsilon', epsilonOf([sampled(row)], row.delta as number), row.epsilon as number, 1e-10)];
}

function singleDelta(section: string, row: Row): Check[] {
  return [relative(section, 'delta', deltaOf([sampled(row)], row.epsilon as number), row.delta as number, 1e-9)];
}

function zcdp(section: string, row: Row): Check[] {
  return [
    relative(section, 'epsilon', zcdpEpsilon(row.rho as number, row.delta as number), row.epsilon as number, 1e-10),
  ];
}

/** A composition of Poisson-sampled releases: ε and δ by PLD, and ε by RDP where the file has it. */
function composed(section: string, row: Row, parts: Row[], orders: number[]): Check[] {
  const events = parts.map(sampled);
  const steps = parts.reduce((sum, part) => sum + (part.steps as number), 0);
  const delta = row.delta as number;
  const epsilon = epsilonOf(events, delta);
  const expected = row.cleanEpsilon ?? (row.pldEpsilon as number);
  const checks: Check[] = [
    {
      section,
      what: `epsilon ${describe(parts)} delta=${delta}: ${epsilon}, expected ${expected}`,
      error: Math.abs(epsilon - expected),
      allowed: row.epsilonTolerance ?? 1e-6,
    },
  ];
  for (const point of row.pldDeltas ?? []) {
    const value = deltaOf(events, point.epsilon);
    checks.push({
      section: `${section} delta`,
      what: `delta ${describe(parts)} epsilon=${point.epsilon}: ${value}, expected ${point.cleanDelta}`,
      error: Math.abs(value - point.cleanDelta),
      allowed: 1e-6 * point.cleanDelta + steps * 1e-15,
    });
  }
  // A single event's RDP column is by dp-accounting with its default orders, an upper bound: not a value to match.
  if (section === 'heterogeneous' && row.rdpEpsilon !== undefined && orders.length > 0) {
    checks.push(relative(`${section} rdp`, 'epsilon', rdpEpsilon(events, delta, orders).epsilon, row.rdpEpsilon, 1e-9));
  }
  return checks;
}

function renyi(row: Row, orders: number[], defaultOrders: number[] | undefined): Check[] {
  const perStep = rdpOf([{ ...sampled(row), count: 1 }], orders);
  const delta = row.delta as number;
  const checks = perStep.map((value, i) =>
    relative('rdp', `order ${orders[i]}`, value, (row.rdpPerStep as number[])[i] as number, 1e-9),
  );
  const epsilonBy = (by: number[]) => rdpEpsilon([sampled(row)], delta, by).epsilon;
  checks.push(relative('rdp', 'epsilon', epsilonBy(orders), row.epsilon as number, 1e-9));
  if (defaultOrders !== undefined && row.epsilonDefaultOrders !== undefined) {
    checks.push(relative('rdp', 'epsilon, default orders', epsilonBy(defaultOrders), row.epsilonDefaultOrders, 1e-9));
  }
  return checks;
}

function calibration(section: string, row: Row): Check[] {
  const target = row.epsilon as number;
  const delta = row.delta as number;
  const stage = { samplingProbability: row.samplingRate as number, rounds: row.steps as number, share: 1 };
  const sigma = calibrateNoise({ epsilon: target, delta, stages: [stage] })[0] as number;
  const at = epsilonOf([{ ...sampled(row), noiseMultiplier: sigma }], delta);
  return [
    relative(section, 'noiseMultiplier', sigma, row.noiseMultiplierPld as number, 1e-5),
    {
      section: `${section} epsilon`,
      what: `epsilon at the answer: ${at}, asked ${target}`,
      error: Math.max(0, at - target),
      allowed: 1e-6,
    },
  ];
}

function describe(parts: Row[]): string {
  return parts.map((p) => `q=${p.samplingRate} sigma=${p.noiseMultiplier} T=${p.steps}`).join(' + ');
}

/** The worst error of every section, and every check that fails. */
function verdict(checks: readonly Check[]): Verdict {
  const sections = new Map<string, Check[]>();
  for (const check of checks) sections.set(check.section, [...(sections.get(check.section) ?? []), check]);
  const lines: string[] = [];
  let failed = 0;
  for (const [section, list] of sections) {
    const bad = list.filter((check) => !(check.error <= check.allowed));
    const worst = list.reduce((a, b) => (b.error / b.allowed > a.error / a.allowed ? b : a));
    failed += bad.length;
    lines.push(
      `${bad.length === 0 ? 'ok  ' : 'FAIL'} ${section.padEnd(32)} ${String(list.length).padStart(4)} checks, worst error ${worst.error.toExponential(2)} of ${worst.allowed.toExponential(0)} allowed`,
      ...bad.map((check) => `       ${check.what}`),
    );
  }
  return { lines, passed: checks.length - failed, failed };
}

await conformanceCommand(import.meta.url, 'npm run conformance:accounting -- FILE.json', ([file]) =>
  verdict(checkAll(JSON.parse(readFileSync(file as string, 'utf8')) as Vectors)),
);
