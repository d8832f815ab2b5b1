import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { bundleEntries } from '../../../shared/ledger/bundle.ts';
import { type VerifyReport, verifyBundle } from '../../../shared/ledger/verify.ts';
import { command, openTerminal } from '../../../shared/node/command-line.ts';
import { readYamlFile } from '../../../shared/node/documents.ts';
import { recomputeCertificate } from '../../../shared/protocol/recompute.ts';
import type { Placed } from '../../../shared/protocol/report/account.ts';
import { reportHtml } from '../../../shared/protocol/report/html.ts';
import { type Organisation, organisationSchema } from '../../../shared/protocol/report/organisation.ts';
import { ledgerReport } from '../../../shared/protocol/report/report.ts';
import { parsedDocument } from '../../documents.ts';
import { readLedger } from './read-ledger.ts';

export interface AboutOptions {
  readonly vkey?: string[];
  readonly about?: string;
  readonly json?: boolean;
}

/** `tacit ledger report` */
export function reportCommand(): Command {
  return withAbout(
    command(
      'report',
      'per dataset: the budget, what was spent on what, what it rests on, records for GDPR Art. 30 and the CCPA',
      'tacit ledger report bundle --vkey "tacit.local/ledger+1a2b3c4d+AW…" --about organisation.yaml --out report.html',
    ),
  )
    .option('--out <file>', 'a page that prints well (.html), or the same as .json')
    .action(async (place: string, options: AboutOptions & { out?: string }) => {
      const { verified, entries, about } = await readAccount(place, options);
      const report = ledgerReport(verified, entries, about, new Date().toISOString());
      const json = `${JSON.stringify(report, null, 2)}\n`;
      const terminal = openTerminal(options.json === true);
      if (options.out !== undefined)
        await writeFile(options.out, options.out.endsWith('.json') ? json : reportHtml(report));
      terminal.emit(report);
      if (options.out === undefined) return terminal.say(json.trimEnd());
      terminal.say(`${options.out}: ${report.scopes.length} dataset(s), ${verified.size} entries, ${verified.verdict}`);
    });
}

export function withAbout(sub: Command): Command {
  return sub
    .argument('<bundle|url>', 'an exported ledger, or its address')
    .option('--vkey <key...>', 'keys that you got from elsewhere: the log’s, witnesses’')
    .option('--about <file>', 'organisation.yaml: controller, contacts and whatever else no ledger can know')
    .option('--json', 'one JSON object');
}

/** A ledger verified first: a report on one that fails says so at its top. */
export async function readAccount(
  place: string,
  options: AboutOptions,
): Promise<{
  readonly verified: VerifyReport;
  readonly entries: readonly Placed[];
  readonly about: Organisation;
}> {
  const files = await readLedger(place);
  const about =
    options.about === undefined
      ? {}
      : parsedDocument(organisationSchema, await readYamlFile(options.about, 64 << 10), options.about);
  const verified = await verifyBundle(files, { vkeys: options.vkey ?? [], recompute: recomputeCertificate });
  return { verified, entries: bundleEntries(files), about };
}
