/**
 * `npm run audit`: the empirical audit with 1,024 canaries in one run and with 1,000 runs, of the product as it is and with
 * each planted fault. Exit status 1 when the product's own claim is refuted or a fault is not found.
 */
import process from 'node:process';
import { seededRng, systemRng } from '../../shared/core/rng.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { type AuditDemand, audit } from '../../shared/training/audit/audit.ts';
import type { RoundParts } from '../../shared/training/audit/audit-run.ts';
import { FAULTS, faulty } from '../support/audit-faults.ts';

const base = { samplingProbability: 0.01, l2Clip: 0.1, clients: 3, delta: 1e-5, confidence: 0.95 };
const oneRun: AuditDemand = { ...base, method: 'one-run', canaries: 1024, rounds: 2000, noiseMultiplier: 1.1 };
const manyRuns: AuditDemand = {
  ...base,
  method: 'many-runs',
  canaries: 1000,
  rounds: 100,
  samplingProbability: 0.1,
  noiseMultiplier: 2,
};

async function main(): Promise<number> {
  const seed = process.argv[2];
  const rng = () => (seed === undefined ? systemRng : seededRng(seed));
  let wrong = 0;
  for (const demand of [oneRun, manyRuns]) {
    const { method, canaries, rounds, samplingProbability, noiseMultiplier, confidence } = demand;
    console.log(
      `${method}: ${canaries} canaries, ${rounds} rounds, q = ${samplingProbability}, sigma = ${noiseMultiplier}, confidence ${confidence}`,
    );
    // Batches that are dealt once only show over many epochs, which would take a thousand runs hours.
    const faults = FAULTS.filter((fault) => method === 'one-run' || fault !== 'shuffled sampling');
    if (!(await line('sound', demand, rng(), undefined, true))) wrong++;
    for (const fault of faults) if (!(await line(fault, demand, rng(), faulty(fault), false))) wrong++;
  }
  console.log(wrong === 0 ? 'all as it should be' : `${wrong} not as it should be`);
  return wrong === 0 ? 0 : 1;
}

/** Prints one audit. @returns true when it came out as it should */
async function line(
  name: string,
  demand: AuditDemand,
  rng: typeof systemRng,
  parts: RoundParts | undefined,
  expected: boolean,
): Promise<boolean> {
  const { claim, verdict, holds } = await audit(demand, onnxCpuEngine(), rng, parts);
  const { epsilonLowerBound, correct, guesses, statistic } = verdict;
  const relation = holds ? '<=' : '> ';
  console.log(
    `  ${holds === expected ? 'ok  ' : 'FAIL'} ${name.padEnd(20)} epsilon >= ${epsilonLowerBound.toFixed(2)} ${relation} claim ${claim.toView().epsilon.toFixed(2)}   ${correct} of ${guesses} guesses right (${statistic})`,
  );
  return holds === expected;
}

process.exitCode = await main();
