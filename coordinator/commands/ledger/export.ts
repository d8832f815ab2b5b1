import type { Command } from 'commander';
import { exportBundle } from '../../../shared/ledger/bundle.ts';
import { command, openTerminal } from '../../../shared/node/command-line.ts';
import { writeBundle } from '../../../shared/node/directory-files.ts';
import { readVkey } from '../../keys/vkey.ts';
import { withSettings } from '../settings.ts';
import { STORE_SETTINGS, withReader } from './reader.ts';

/** `tacit ledger export` */
export function exportCommand(): Command {
  const example = 'tacit ledger export --data-dir tacit-data --out bundle';
  return withSettings(
    command('export', 'everything that an auditor needs, into a directory or .zip', example),
    STORE_SETTINGS,
  )
    .requiredOption('--out <dir>', 'a new directory, or a new file ending in .zip')
    .option('--json', 'one JSON object')
    .action(async (options: Record<string, unknown> & { out: string }) => {
      const terminal = openTerminal(options['json'] === true);
      await withReader(options, async (reader, store, dataDir) => {
        const vkey = await readVkey(dataDir);
        const files = await exportBundle(reader, { vkey, blob: (sha256) => store.getBlob(sha256) });
        await writeBundle(options.out, files);
        terminal.emit({ exported: options.out, entries: reader.signedSize, files: files.size });
        terminal.say(`${reader.signedSize} entries in ${files.size} files: ${options.out}`);
        terminal.say(`Hand the log’s key over by another way than the bundle: ${vkey}`);
      });
    });
}
