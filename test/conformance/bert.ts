import { pathToFileURL } from 'node:url';
import { nodeEngineCandidates } from '../../shared/node/engines.ts';
import { checkBertCase, type Finding } from '../support/bert-conformance.ts';
import { caseFiles } from '../support/case-files.ts';

const usage = `usage: node dist/test/conformance/bert.js DIR [--engine ${nodeEngineCandidates()
  .map(({ name }) => `"${name}"`)
  .join('|')}]`;

/** Checks one directory in the format of test/vectors/bert-tiny and prints the worst errors. Exit code 1 on a failure. */
async function main(args: readonly string[]): Promise<number> {
  const [dir, option, name = 'onnx cpu'] = args;
  const candidate = nodeEngineCandidates().find((c) => c.name === name);
  if (dir === undefined || (option !== undefined && option !== '--engine') || candidate === undefined) {
    console.error(usage);
    return 2;
  }
  const engine = await candidate.open();
  const findings = await checkBertCase(caseFiles(dir), engine);
  const failed = findings.filter((f) => !(f.error <= f.tolerance));
  for (const finding of worstByKind(findings)) console.log(line(finding));
  for (const finding of failed) console.log(`FAILED ${line(finding)}`);
  console.log(`${engine.name}: ${findings.length - failed.length} passed, ${failed.length} failed (${dir})`);
  return failed.length === 0 ? 0 : 1;
}

/** Of logits, losses, gradients, norms, sums: the one nearest to or furthest beyond its tolerance. */
function worstByKind(findings: readonly Finding[]): Finding[] {
  const worst = new Map<string, Finding>();
  for (const finding of findings) {
    const kind = finding.what.split(/ bert\.| classifier\.| cls\.| base_model\.| \(C| \d/)[0] as string;
    const known = worst.get(kind);
    if (known === undefined || finding.error / finding.tolerance > known.error / known.tolerance)
      worst.set(kind, finding);
  }
  return [...worst.values()];
}

function line({ what, error, tolerance }: Finding): string {
  return `${error.toExponential(2)} of ${tolerance.toExponential(0)}  ${what}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = await main(process.argv.slice(2));
