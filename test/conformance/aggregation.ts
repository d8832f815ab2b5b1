import { readFileSync } from 'node:fs';
import { addProximal, weightedMean } from '../../shared/aggregation/fedavg.ts';
import { coordinateMedian, krum, trimmedMean } from '../../shared/aggregation/robust.ts';
import { createServerOptimizer, type ServerOptimizerSpec } from '../../shared/aggregation/server-optimizers.ts';
import { conformanceCommand } from './command.ts';
import { allNear, type Finding, near, same, verdictOf } from './findings.ts';

interface ServerCase {
  readonly name: string;
  readonly weighting: string;
  readonly hyper: { serverLearningRate: number; momentum?: number; beta1?: number; beta2?: number; tau?: number };
  readonly rounds: { parameters: number[]; momentum?: number[]; secondMoment?: number[] }[];
}
export interface AggregationVectors {
  readonly initialParameters: number[];
  readonly clientWeights: number[];
  readonly clientDeltas: number[][][];
  readonly serverOptimizers?: ServerCase[];
  readonly fedProx?: {
    mu: number;
    globalParameters: number[];
    localParameters: number[];
    gradient: number[];
    proximalTerm: number;
    gradientWithProximal: number[];
  };
  readonly robust?: {
    updates: number[][];
    mean: number[];
    coordinateMedian: number[];
    medianOfFirstEven: { rows: number; value: number[] };
    trimmedMean: { trimEachSide: number; value: number[] }[];
    krum: { f: number; scores: number[]; selected: number; value: number[] }[];
    multiKrum: { f: number; m: number; selected: number[]; value: number[] }[];
  };
}

const DOUBLE = 1e-12;
const SINGLE = 1e-5;
/** Relative errors are taken of at least this, for elements that nearly cancel. */
const FLOOR = 1e-3;

/** Compares merging with a file in the format of test/vectors/aggregation.json. */
export function checkAggregation(vectors: AggregationVectors): Finding[] {
  return [
    ...(vectors.serverOptimizers ?? []).flatMap((c) => serverFindings(c, vectors)),
    ...(vectors.fedProx === undefined ? [] : proximalFindings(vectors.fedProx)),
    ...(vectors.robust === undefined ? [] : robustFindings(vectors.robust)),
  ];
}

function specOf({ name, hyper }: ServerCase): ServerOptimizerSpec {
  const learningRate = hyper.serverLearningRate;
  if (name === 'fedavg' || name === 'fedavgm') return { optimizer: 'sgd', learningRate, momentum: hyper.momentum ?? 0 };
  return {
    optimizer: name.slice(3) as 'adagrad' | 'adam' | 'yogi',
    learningRate,
    ...(hyper.beta1 === undefined ? {} : { momentum: hyper.beta1 }),
    ...(hyper.beta2 === undefined ? {} : { beta2: hyper.beta2 }),
    ...(hyper.tau === undefined ? {} : { tau: hyper.tau }),
  };
}

/** In float64, restored from its state before every round, and in float32. */
function serverFindings(c: ServerCase, vectors: AggregationVectors): Finding[] {
  const findings: Finding[] = [];
  const weights = c.weighting === 'weighted' ? vectors.clientWeights : vectors.clientWeights.map(() => 1);
  let double = Float64Array.from(vectors.initialParameters);
  let single = Float32Array.from(vectors.initialParameters);
  let optimizer = createServerOptimizer(specOf(c));
  const kept = createServerOptimizer(specOf(c));
  for (const [round, expected] of c.rounds.entries()) {
    const mean = weightedMean(
      (vectors.clientDeltas[round] as number[][]).map((row) => Float64Array.from(row)),
      weights,
    );
    optimizer = createServerOptimizer(specOf(c), round === 0 ? undefined : optimizer.state());
    double = optimizer.step(double, mean);
    single = kept.step(single, mean);
    const what = `${c.name} ${c.weighting}: `;
    findings.push(allNear(`${what}parameters, round ${round + 1}`, double, expected.parameters, DOUBLE, FLOOR));
    findings.push(allNear(`${what}float32 parameters, round ${round + 1}`, single, expected.parameters, SINGLE, FLOOR));
    const { momentum, secondMoment } = optimizer.state();
    if (expected.momentum !== undefined)
      findings.push(allNear(`${what}momentum, round ${round + 1}`, momentum ?? [], expected.momentum, DOUBLE, FLOOR));
    if (expected.secondMoment !== undefined)
      findings.push(
        allNear(`${what}second moment, round ${round + 1}`, secondMoment ?? [], expected.secondMoment, DOUBLE, FLOOR),
      );
  }
  return findings;
}

function proximalFindings(p: NonNullable<AggregationVectors['fedProx']>): Finding[] {
  const gradient = Float64Array.from(p.gradient);
  const term = addProximal(gradient, Float64Array.from(p.localParameters), Float64Array.from(p.globalParameters), p.mu);
  return [
    near('FedProx: term', term, p.proximalTerm, DOUBLE, FLOOR),
    allNear('FedProx: gradient', gradient, p.gradientWithProximal, DOUBLE, FLOOR),
  ];
}

function robustFindings(robust: NonNullable<AggregationVectors['robust']>): Finding[] {
  const updates = robust.updates.map((row) => Float64Array.from(row));
  const even = robust.medianOfFirstEven;
  const equal = (what: string, actual: ArrayLike<number>, expected: number[]): Finding =>
    allNear(what, actual, expected, DOUBLE, FLOOR);
  return [
    equal(
      'mean',
      weightedMean(
        updates,
        updates.map(() => 1),
      ),
      robust.mean,
    ),
    equal('median: odd', coordinateMedian(updates), robust.coordinateMedian),
    equal('median: even', coordinateMedian(updates.slice(0, even.rows)), even.value),
    ...robust.trimmedMean.map((c) =>
      equal(`trimmed mean: ${c.trimEachSide}`, trimmedMean(updates, c.trimEachSide), c.value),
    ),
    ...robust.krum.flatMap((c) => {
      const { scores, selected, value } = krum(updates, c.f);
      return [
        equal(`Krum: f ${c.f}, scores`, scores, c.scores),
        same(`Krum: f ${c.f}, selected`, selected, [c.selected]),
        equal(`Krum: f ${c.f}`, value, c.value),
      ];
    }),
    ...robust.multiKrum.flatMap((c) => {
      const { selected, value } = krum(updates, c.f, c.m);
      const what = `multi-Krum: f ${c.f}, m ${c.m}`;
      return [same(`${what}, selected`, selected, c.selected), equal(what, value, c.value)];
    }),
  ];
}

await conformanceCommand(import.meta.url, 'npm run conformance:aggregation -- aggregation.json', ([file]) =>
  verdictOf(checkAggregation(JSON.parse(readFileSync(file as string, 'utf8'))), (what) => what.split(':')[0] as string),
);
