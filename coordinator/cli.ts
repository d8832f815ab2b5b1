import { command, runCommand } from '../shared/node/command-line.ts';
import { useOpensslCrypto } from '../shared/node/native-crypto.ts';
import { packageVersion } from '../shared/node/package-root.ts';
import { approverCommand } from './commands/approver.ts';
import { auditCommand } from './commands/audit.ts';
import { budgetCommand } from './commands/budget.ts';
import { configCommand } from './commands/config.ts';
import { coordinatorCommand } from './commands/coordinator.ts';
import { dataCommand } from './commands/data.ts';
import { distilCommand } from './commands/distil.ts';
import { doctorCommand } from './commands/doctor.ts';
import { ledgerCommand } from './commands/ledger/group.ts';
import { modelCommand } from './commands/model/group.ts';
import { planCommand } from './commands/plan.ts';
import { pretrainCommand } from './commands/pretrain.ts';
import { privacyCommand } from './commands/privacy/group.ts';
import { runCommands } from './commands/run.ts';
import { startCommand } from './commands/start.ts';
import { trainCommand } from './commands/train.ts';

/** Everything but `tacit client`. @returns the exit code */
export function main(argv: readonly string[]): Promise<number> {
  useOpensslCrypto();
  const program = command('tacit', 'Federated learning on text that never leaves its owner', 'tacit start')
    .version(packageVersion)
    .enablePositionalOptions()
    .helpCommand(false);
  const commands = [
    startCommand(),
    coordinatorCommand(),
    runCommands(),
    planCommand(),
    dataCommand(),
    privacyCommand(),
    approverCommand(),
    auditCommand(),
    budgetCommand(),
    ledgerCommand(),
    modelCommand(),
    trainCommand(),
    pretrainCommand(),
    distilCommand(),
    doctorCommand(),
    configCommand(),
  ];
  for (const sub of commands) program.addCommand(sub);
  // `tacit client` is another application; bin/tacit.js hands over to it.
  program.addCommand(command('client', 'take part in a run with your own data', 'tacit client --help'));
  return runCommand(program, argv);
}
