import { once } from 'node:events';
import type { Command } from 'commander';
import { pino } from 'pino';
import { command, openTerminal } from '../../shared/node/command-line.ts';
import { passphraseFromEnvironment } from '../keys/identity.ts';
import { untilInterrupted } from './interrupt.ts';
import { ALL_SETTINGS, configOf, withSettings } from './settings.ts';

/** `tacit coordinator`: the server alone; runs are created with `tacit run create`. */
export function coordinatorCommand(): Command {
  return withSettings(
    command('coordinator', 'serve runs, pages and the ledger', 'tacit coordinator --port 7400 --data-dir tacit-data'),
    ALL_SETTINGS,
  )
    .option('--json', 'what it listens on as one JSON object')
    .action(async (options: Record<string, unknown>) => {
      const { config } = await configOf(options);
      const terminal = openTerminal(options['json'] === true);
      const log = pino({ level: config.logLevel }, pino.destination(2));
      await untilInterrupted(async (signal) => {
        const { startCoordinator } = await import('../main.ts');
        const coordinator = await startCoordinator(config, passphraseFromEnvironment(), log);
        const { fingerprint, vkey } = coordinator.service.about();
        terminal.emit({ event: 'listening', url: coordinator.url, localUrl: coordinator.localUrl, fingerprint, vkey });
        terminal.say(`listening    ${coordinator.localUrl}, reached at ${coordinator.url}`);
        terminal.say(`key          ${fingerprint}`);
        terminal.say(`ledger key   ${vkey}   (give it to auditors yourself: docs/AUDIT.md)`);
        if (coordinator.keyProtection === 'machine') {
          terminal.say(
            '             protected by file permissions only; set TACIT_KEY_PASSPHRASE before the first start to encrypt it',
          );
        }
        if (!signal.aborted) await once(signal, 'abort');
        await coordinator.close();
      });
    });
}
