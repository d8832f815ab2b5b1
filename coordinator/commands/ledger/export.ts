import type { Command } from 'commander';
import { TacitError } from '../../../shared/core/errors.ts';
import { type BundleFiles, exportBundle } from '../../../shared/ledger/bundle.ts';
import type { LedgerErrorCode } from '../../../shared/ledger/errors.ts';
import { command, openTerminal } from '../../../shared/node/command-line.ts';
import { writeBundle } from '../../../shared/node/directory-files.ts';
import { exportOwnLedger } from '../../../shared/participant/own-bundle.ts';
import { readVkey } from '../../keys/vkey.ts';
import { withSettings } from '../settings.ts';
import { STORE_SETTINGS, withReader } from './reader.ts';
import { withSiteLedger } from './site.ts';

interface Exported {
  readonly entries: number;
  readonly files: BundleFiles;
  readonly vkey: string;
}

interface Options extends Record<string, unknown> {
  readonly out: string;
  readonly site?: string;
}

/** `tacit ledger export` */
export function exportCommand(): Command {
  const example =
    'tacit ledger export --data-dir tacit-data --out bundle\n  $ tacit ledger export --site ~/.tacit --out our-account';
  return withSettings(
    command('export', 'everything that an auditor needs, into a directory or .zip', example),
    STORE_SETTINGS,
  )
    .requiredOption('--out <dir>', 'a new directory, or a new file ending in .zip')
    .option('--site <dir>', 'the own ledger of a participant instead, out of the state folder of its "tacit client"')
    .option('--json', 'one JSON object')
    .action(async (options: Options) => {
      const terminal = openTerminal(options['json'] === true);
      const { entries, files, vkey } =
        options.site === undefined ? await ofCoordinator(options) : await ofSite(options.site);
      await writeBundle(options.out, files);
      terminal.emit({ exported: options.out, entries, files: files.size, vkey });
      terminal.say(`${entries} entries in ${files.size} files: ${options.out}`);
      terminal.say(`Hand the ledger’s key over by another way than the bundle: ${vkey}`);
    });
}

function ofCoordinator(options: Options): Promise<Exported> {
  return withReader(options, async (reader, store, dataDir) => {
    const vkey = await readVkey(dataDir);
    const files = await exportBundle(reader, { vkey, blob: (sha256) => store.getBlob(sha256) });
    return { entries: reader.signedSize, files, vkey };
  });
}

function ofSite(dir: string): Promise<Exported> {
  return withSiteLedger(dir, async (reader) => {
    if (reader === undefined) {
      throw new TacitError<LedgerErrorCode>(
        'LEDGER_RANGE',
        'this site’s own ledger is empty: it has agreed to nothing yet',
        {
          where: dir,
          fix: 'Export it after the first consent.',
        },
      );
    }
    return { entries: reader.signedSize, ...(await exportOwnLedger(reader)) };
  });
}
