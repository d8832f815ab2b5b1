import type { Command } from 'commander';
import { TacitError } from '../../shared/core/errors.ts';
import { exportBundle } from '../../shared/ledger/bundle.ts';
import { LedgerReader } from '../../shared/ledger/reader.ts';
import { type VerifyReport, verifyBundle } from '../../shared/ledger/verify.ts';
import { command, openTerminal, type Terminal } from '../../shared/node/command-line.ts';
import { readBundle, writeBundle } from '../../shared/node/directory-files.ts';
import { readTextFile } from '../../shared/node/documents.ts';
import { shortHash, table } from '../../shared/node/format.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { LEDGER_STREAM, openConfiguredStore } from '../open-store.ts';
import { readVkey } from '../vkey.ts';
import { configOf, withSettings } from './settings.ts';

export type VerifyErrorCode = 'VERIFICATION_FAILED';

const STORE_SETTINGS = ['dataDir', 'store', 'origin'] as const;
/** A year of a busy coordinator; a larger bundle is verified from its static log instead. */
const BUNDLE_BYTES = 2 ** 30;

/** `tacit ledger show|export|verify` */
export function ledgerCommand(): Command {
  const group = command('ledger', 'the account of every release, and its proof', 'tacit ledger verify bundle');
  for (const sub of [showCommand(), exportCommand(), verifyCommand()]) group.addCommand(sub);
  return group;
}

function showCommand(): Command {
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
          terminal.emit({ index, leafHash: hexOf(leafHash), entry });
          terminal.say(`#${String(index).padEnd(5)} ${shortHash(hexOf(leafHash))}  ${entry.at}  ${entry.kind}`);
        }
      });
    });
}

function exportCommand(): Command {
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

function verifyCommand(): Command {
  return command(
    'verify',
    'check an exported bundle offline, trusting nothing in it',
    'tacit ledger verify bundle --vkey "tacit.local/ledger+1a2b3c4d+AW…"',
  )
    .argument('<bundle>', 'directory or .zip that "tacit ledger export" wrote')
    .option('--vkey <key...>', 'keys that you got from elsewhere: the log’s, witnesses’')
    .option('--since <checkpoint>', 'file with a checkpoint that you saw earlier: the bundle must extend it')
    .option('--json', 'the whole report as one JSON object')
    .action(async (dir: string, options: { vkey?: string[]; since?: string; json?: boolean }) => {
      const files = await readBundle(dir, BUNDLE_BYTES);
      const since = options.since === undefined ? {} : { since: await readTextFile(options.since, 1 << 20) };
      const report = await verifyBundle(files, {
        vkeys: options.vkey ?? [],
        recompute: recomputeCertificate,
        ...since,
      });
      const terminal = openTerminal(options.json === true);
      terminal.emit(report);
      show(report, terminal);
      if (report.verdict !== 'failed') return;
      const [first] = report.failures;
      const more = report.failures.length > 1 ? `, and ${report.failures.length - 1} more` : '';
      throw new TacitError<VerifyErrorCode>(
        'VERIFICATION_FAILED',
        `${first?.what ?? 'something does not hold'}${more}`,
        {
          where: first?.index === null || first === undefined ? dir : `entry ${first.index}`,
          fix: 'Do not rely on this ledger; keep the bundle as evidence.',
        },
      );
    });
}

function show(report: VerifyReport, terminal: Terminal): void {
  const verdict = {
    verified: 'verified',
    consistent: 'internally consistent, signer not established',
    failed: 'FAILED',
  }[report.verdict];
  terminal.say(`${report.origin}: ${report.size} entries, root ${report.root}: ${verdict}`);
  for (const { name, at, established } of report.witnesses)
    terminal.say(`witness    ${name} saw it at ${at}${established ? '' : ' (key from the bundle)'}`);
  for (const run of report.runs) {
    const recomputed =
      run.recomputedEpsilon === null ? 'not recomputed' : `recomputed ${run.recomputedEpsilon.toFixed(6)}`;
    const epsilon =
      run.epsilon === null
        ? 'no privacy promised'
        : `eps ${run.epsilon.toFixed(6)} (${recomputed}), delta ${run.delta}`;
    terminal.say(
      `run        ${run.run}: ${run.state}, ${run.released} rounds released, ${run.consents} consents, ${run.refusals} refusals, ${epsilon}`,
    );
  }
  const rows = report.budgets.map((b) => [
    b.budget.scope,
    b.budget.unit,
    b.budget.period,
    ...[b.epsilon, b.spent, b.reserved, b.left].map((n) => n.toFixed(3)),
  ]);
  if (rows.length > 0)
    for (const line of table([['scope', 'unit', 'period', 'epsilon', 'spent', 'reserved', 'left'], ...rows]))
      terminal.say(line);
  for (const note of report.notes) terminal.say(`note       ${note}`);
  for (const what of report.unchecked) terminal.say(`unchecked  ${what}`);
  for (const f of report.failures)
    terminal.say(
      `FAILURE    ${f.index === null ? '' : `entry ${f.index}: `}${f.code}: ${f.what} (expected ${f.expected}, found ${f.actual})`,
    );
}

async function withReader(
  options: Readonly<Record<string, unknown>>,
  use: (reader: LedgerReader, store: Awaited<ReturnType<typeof openConfiguredStore>>, dataDir: string) => Promise<void>,
): Promise<void> {
  const { config } = await configOf(options);
  const store = await openConfiguredStore(config);
  try {
    await use(
      await LedgerReader.openReader({ store, stream: LEDGER_STREAM, origin: config.origin }),
      store,
      config.dataDir,
    );
  } finally {
    await store.close();
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
