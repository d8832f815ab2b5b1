import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { nodeEngineCandidates } from '../../shared/node/engines.ts';
import { checkBertCase } from '../support/bert-conformance.ts';
import { caseFiles } from '../support/case-files.ts';
import { conformanceCommand } from './command.ts';
import { type Finding, type Verdict, verdictOf } from './findings.ts';

const engines = nodeEngineCandidates()
  .map(({ name }) => `"${name}"`)
  .join('|');

/** Checks one directory in the format of test/vectors/bert-tiny on one engine, or each of those in a directory. */
async function run(args: readonly string[]): Promise<Verdict | undefined> {
  const [dir, option, name = 'onnx cpu'] = args;
  const candidate = nodeEngineCandidates().find((c) => c.name === name);
  if (dir === undefined || (option !== undefined && option !== '--engine') || candidate === undefined) return undefined;
  const engine = await candidate.open();
  const inside = casesIn(dir);
  if (inside.length === 0) return verdictOf(await checkBertCase(caseFiles(dir), engine), kindOf);
  const findings: Finding[] = [];
  for (const name of inside) {
    try {
      for (const finding of await checkBertCase(caseFiles(join(dir, name)), engine))
        findings.push({ ...finding, what: `${name}: ${finding.what}` });
    } catch (error) {
      findings.push({ what: `${name}: ${(error as Error).message}`, error: Number.POSITIVE_INFINITY, tolerance: 0 });
    }
  }
  return verdictOf(findings, kindOf);
}

function casesIn(dir: string): string[] {
  if (existsSync(join(dir, 'case.json'))) return [];
  return readdirSync(dir).filter((name) => existsSync(join(dir, name, 'case.json')));
}

const kindOf = (what: string): string => what.split(/ bert\.| classifier\.| cls\.| base_model\.| \(C| \d/)[0] as string;

await conformanceCommand(import.meta.url, `npm run conformance:bert -- DIR [--engine ${engines}]`, run);
