import type { Command } from 'commander';
import { command } from '../../../shared/node/command-line.ts';
import { exportCommand } from './export.ts';
import { reconcileCommand } from './reconcile.ts';
import { registryCommand } from './registry.ts';
import { reportCommand } from './report.ts';
import { rotateKeyCommand } from './rotate-key.ts';
import { showCommand } from './show.ts';
import { verifyCommand } from './verify.ts';

/** `tacit ledger …` */
export function ledgerCommand(): Command {
  const group = command('ledger', 'the account of every release, and its proof', 'tacit ledger verify bundle');
  const commands = [
    showCommand(),
    exportCommand(),
    verifyCommand(),
    reportCommand(),
    registryCommand(),
    reconcileCommand(),
    rotateKeyCommand(),
  ];
  for (const sub of commands) group.addCommand(sub);
  return group;
}
