import type { Command } from 'commander';
import { hex } from '../../../shared/core/bytes.ts';
import { entryWords } from '../../../shared/ledger/entry-words.ts';
import { command, openTerminal } from '../../../shared/node/command-line.ts';
import { shortHash } from '../../../shared/node/format.ts';
import { withSettings } from '../settings.ts';
import { STORE_SETTINGS, withReader } from './reader.ts';

/** `tacit ledger show` */
export function showCommand(): Command {
  return withSettings(
    command('show', 'entries of the ledger', 'tacit ledger show --data-dir tacit-data --from 10'),
    STORE_SETTINGS,
  )
    .option('--from <index>', 'first entry', '0')
    .option('--json', 'one entry a line')
    .action(async (options: Record<string, unknown>) => {
      const terminal = openTerminal(options['json'] === true);
      await withReader(options, async (reader) => {
        for (const { index, leafHash, entry } of await reader.entries(Number(options['from']) || 0)) {
          terminal.emit({ index, leafHash: hex(leafHash), entry });
          terminal.say(
            `#${String(index).padEnd(5)} ${shortHash(hex(leafHash))}  ${entry.at}  ${entry.kind.padEnd(16)} ${entryWords(entry)}`,
          );
        }
        if (reader.size === 0) terminal.say('no entry yet');
      });
    });
}
