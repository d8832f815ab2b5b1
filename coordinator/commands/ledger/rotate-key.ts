import type { Command } from 'commander';
import { systemRng } from '../../../shared/core/rng.ts';
import { command, openTerminal } from '../../../shared/node/command-line.ts';
import { passphraseFromEnvironment } from '../../keys/identity.ts';
import { rotateKey } from '../../keys/key-rotation.ts';
import { withWritableStore } from '../../store/data-dir-lock.ts';
import { configOf, withSettings } from '../settings.ts';
import { STORE_SETTINGS } from './reader.ts';

/** `tacit ledger rotate-key` */
export function rotateKeyCommand(): Command {
  const example = 'tacit ledger rotate-key --data-dir tacit-data --reason "yearly change"';
  return withSettings(
    command('rotate-key', 'give the coordinator a new key; stop the coordinator first', example),
    STORE_SETTINGS,
  )
    .requiredOption('--reason <text>', 'why; it becomes part of the ledger')
    .option('--json', 'one JSON object')
    .action(async (options: Record<string, unknown> & { reason: string }) => {
      const { config } = await configOf(options);
      await withWritableStore(config, async (store) => {
        const place = { config, store, passphrase: passphraseFromEnvironment(), rng: systemRng };
        const { index, vkey } = await rotateKey(place, options.reason);
        const terminal = openTerminal(options['json'] === true);
        terminal.emit({ rotated: true, ledgerIndex: index, vkey });
        terminal.say(`the ledger has a new key since entry ${index}, signed by the old and the new one: ${vkey}`);
        terminal.say('Participants follow by themselves. Join links that were made before stay valid.');
      });
    });
}
