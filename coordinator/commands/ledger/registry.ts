import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { command, openTerminal } from '../../../shared/node/command-line.ts';
import { scopeAccounts } from '../../../shared/protocol/report/account.ts';
import { registryRecord } from '../../../shared/protocol/report/registry.ts';
import { type AboutOptions, readAccount, withAbout } from './report.ts';

/** `tacit ledger registry` */
export function registryCommand(): Command {
  return withAbout(
    command(
      'registry',
      'drafts for the OpenDP deployments registry, one a run that promised privacy',
      'tacit ledger registry bundle --about organisation.yaml --out deployments',
    ),
  )
    .option('--out <dir>', 'write one YAML file a run here')
    .action(async (place: string, options: AboutOptions & { out?: string }) => {
      const { verified, entries, about } = await readAccount(place, options);
      const terminal = openTerminal(options.json === true);
      const scopes = scopeAccounts(entries, verified.budgets, verified.runs);
      for (const scope of scopes) {
        for (const run of scope.runs) {
          const record = registryRecord(run, scope, verified, about);
          terminal.emit(record);
          const yaml = stringify(record, { lineWidth: 0, version: '1.1' });
          if (options.out === undefined) {
            terminal.say(yaml.trimEnd());
            continue;
          }
          await mkdir(options.out, { recursive: true });
          const file = join(options.out, `${record.url_slug}.yaml`);
          await writeFile(file, yaml);
          terminal.say(file);
        }
      }
    });
}
