import { readFileSync } from 'node:fs';
import { createOptimizer, type OptimizerSpec } from '../../shared/training/optimizers.ts';
import { learningRateAt, type Schedule } from '../../shared/training/schedules.ts';
import { conformanceCommand } from './command.ts';
import { allNear, type Finding, near, same, verdictOf } from './findings.ts';

interface OptimizerCase {
  readonly name: string;
  readonly hyper: Record<string, number | boolean | string>;
  readonly learningRates?: number[];
  readonly parametersAfterStep: number[][];
  readonly finalState?: Record<string, number[]>;
}
interface ScheduleCase {
  readonly kind: string;
  readonly baseLearningRate: number;
  readonly warmupSteps: number;
  readonly totalSteps: number;
  readonly learningRates: number[];
}
export interface OptimizerVectors {
  readonly initialParameters: number[];
  readonly gradients: number[][];
  readonly cases?: OptimizerCase[];
  readonly schedules?: ScheduleCase[];
}

/** Compares optimizers and schedules with a file in the format of test/vectors/optim.json (torch.optim, transformers). */
export function checkOptimizers(vectors: OptimizerVectors): Finding[] {
  return [
    ...(vectors.cases ?? []).flatMap((c) => optimizerFindings(c, vectors)),
    ...(vectors.schedules ?? []).map(scheduleFinding),
  ];
}

function specOf({ name, hyper }: OptimizerCase): OptimizerSpec {
  const { lr: _lr, note: _note, ...rest } = hyper;
  const kind = name.startsWith('adamw') ? 'adamw' : name.startsWith('adam') ? 'adam' : 'sgd';
  return { kind, ...rest } as OptimizerSpec;
}

/** In float64, restored from its state before every step, and in float32. */
function optimizerFindings(c: OptimizerCase, { initialParameters, gradients }: OptimizerVectors): Finding[] {
  const findings: Finding[] = [];
  const double = Float64Array.from(initialParameters);
  const single = Float32Array.from(initialParameters);
  let optimizer = createOptimizer(specOf(c));
  const kept = createOptimizer(specOf(c));
  for (const [step, expected] of c.parametersAfterStep.entries()) {
    const learningRate = c.learningRates?.[step] ?? (c.hyper['lr'] as number);
    const gradient = gradients[step] as number[];
    optimizer.step(double, Float64Array.from(gradient), learningRate);
    kept.step(single, Float32Array.from(gradient), learningRate);
    findings.push(allNear(`${c.name}: parameters, step ${step + 1}`, double, expected, 1e-12, 1));
    findings.push(allNear(`${c.name}: float32 parameters, step ${step + 1}`, single, expected, 2e-6, 1));
    optimizer = createOptimizer(specOf(c), optimizer.state());
  }
  const { step, vectors: state } = optimizer.state();
  findings.push(same(`${c.name}: steps`, step, c.parametersAfterStep.length));
  for (const name of ['exp_avg', 'exp_avg_sq']) {
    const expected = c.finalState?.[name];
    if (expected !== undefined) findings.push(allNear(`${c.name}: ${name}`, state[name] ?? [], expected, 1e-12, 1));
  }
  return findings;
}

function scheduleFinding(s: ScheduleCase): Finding {
  const schedule = {
    kind: s.kind,
    learningRate: s.baseLearningRate,
    warmupSteps: s.warmupSteps,
    totalSteps: s.totalSteps,
  } as Schedule;
  const rates = s.learningRates.map((_, step) => learningRateAt(schedule, step));
  const what = `schedule ${s.kind}, warm-up ${s.warmupSteps}`;
  const findings = s.learningRates.map((e, i) => near(what, rates[i] as number, e, 1e-12, s.baseLearningRate));
  return findings.reduce((a, b) => (b.error <= a.error ? a : b));
}

await conformanceCommand(import.meta.url, 'npm run conformance:optimizers -- optim.json', ([file]) =>
  verdictOf(
    checkOptimizers(JSON.parse(readFileSync(file as string, 'utf8'))),
    (what) => what.split(/:|,/)[0] as string,
  ),
);
