import { pathToFileURL } from 'node:url';
import type { Verdict } from './findings.ts';

/**
 * Runs a conformance check when its module is the program. Exit code 0: everything holds; 1: something does not, or
 * nothing was there to check; 2: the path cannot be read, or is not in the format.
 */
export async function conformanceCommand(
  module: string,
  usage: string,
  run: (args: readonly string[]) => Verdict | undefined | Promise<Verdict | undefined>,
): Promise<void> {
  if (module !== pathToFileURL(process.argv[1] ?? '').href) return;
  const args = process.argv.slice(2);
  try {
    const verdict = args.length === 0 ? undefined : await run(args);
    if (verdict === undefined) {
      console.error(`usage: ${usage}`);
      process.exitCode = 2;
      return;
    }
    for (const text of verdict.lines) console.log(text);
    const nothing = verdict.passed + verdict.failed === 0;
    console.log(
      nothing
        ? `FAILED nothing in ${args[0]} is of a kind that is checked here`
        : `${verdict.passed} passed, ${verdict.failed} failed (${args.join(' ')})`,
    );
    process.exitCode = nothing || verdict.failed > 0 ? 1 : 0;
  } catch (error) {
    console.error(`${args[0]} cannot be checked: ${(error as Error).message}`);
    console.error(`usage: ${usage}`);
    process.exitCode = 2;
  }
}
