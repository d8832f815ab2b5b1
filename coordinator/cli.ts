import { command, runCommand } from '../shared/node/command-line.ts';
import { packageVersion } from '../shared/node/package-root.ts';
import { budgetCommand } from './commands/budget.ts';
import { configCommand } from './commands/config.ts';
import { ledgerCommand } from './commands/ledger.ts';
import { privacyCommand } from './commands/privacy.ts';
import { runCommands } from './commands/run.ts';

/** Everything but `tacit client`. @returns the exit code */
export function main(argv: readonly string[]): Promise<number> {
  const program = command('tacit', 'Federated learning on text that never leaves its owner', 'tacit start')
    .version(packageVersion)
    .enablePositionalOptions()
    .helpCommand(false);
  for (const sub of [runCommands(), budgetCommand(), ledgerCommand(), privacyCommand(), configCommand()])
    program.addCommand(sub);
  // `tacit client` is another application; bin/tacit.js hands over to it.
  program.addCommand(command('client', 'take part in a run with your own data', 'tacit client --help'));
  return runCommand(program, argv);
}
