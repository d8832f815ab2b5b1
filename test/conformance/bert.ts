import { nodeEngineCandidates } from '../../shared/node/engines.ts';
import { checkBertCase } from '../support/bert-conformance.ts';
import { caseFiles } from '../support/case-files.ts';
import { conformanceCommand } from './command.ts';
import { type Verdict, verdictOf } from './findings.ts';

const engines = nodeEngineCandidates()
  .map(({ name }) => `"${name}"`)
  .join('|');

/** Checks one directory in the format of test/vectors/bert-tiny on one engine. */
async function run(args: readonly string[]): Promise<Verdict | undefined> {
  const [dir, option, name = 'onnx cpu'] = args;
  const candidate = nodeEngineCandidates().find((c) => c.name === name);
  if (dir === undefined || (option !== undefined && option !== '--engine') || candidate === undefined) return undefined;
  const files = caseFiles(dir);
  const findings = await checkBertCase(files, await candidate.open());
  return verdictOf(findings, (what) => what.split(/ bert\.| classifier\.| cls\.| base_model\.| \(C| \d/)[0] as string);
}

await conformanceCommand(import.meta.url, `npm run conformance:bert -- DIR [--engine ${engines}]`, run);
