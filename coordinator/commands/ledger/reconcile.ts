import type { Command } from 'commander';
import { TacitError } from '../../../shared/core/errors.ts';
import { type BundleEntry, type BundleFiles, bundleEntries, bundleText } from '../../../shared/ledger/bundle.ts';
import { peekCheckpoint } from '../../../shared/ledger/checkpoint.ts';
import { MerkleTree } from '../../../shared/ledger/merkle.ts';
import { verifyBundle } from '../../../shared/ledger/verify.ts';
import { command, openTerminal, type Terminal } from '../../../shared/node/command-line.ts';
import { readBundle } from '../../../shared/node/directory-files.ts';
import { type LedgerSide, type Reconciliation, reconcile } from '../../../shared/participant/reconcile.ts';
import { recomputeCertificate } from '../../../shared/protocol/recompute.ts';
import { readLedger } from './read-ledger.ts';
import { isSite, withSiteLedger } from './site.ts';
import type { VerifyErrorCode } from './verify.ts';

const SITE_BYTES = 2 ** 28;

/** `tacit ledger reconcile` */
export function reconcileCommand(): Command {
  const example = 'tacit ledger reconcile http://127.0.0.1:7400/ledger --site tacit-client';
  return command('reconcile', 'where the coordinator’s ledger and a site’s own ledger part', example)
    .argument('<bundle|url>', 'the coordinator’s ledger: an export, or its address')
    .requiredOption('--site <dir>', 'a site’s state folder, or an export of its own ledger')
    .option('--vkey <key...>', 'the coordinator’s key, as the site pinned it')
    .option('--json', 'one JSON object')
    .action(async (place: string, options: { site: string; vkey?: string[]; json?: boolean }) => {
      const files = await readLedger(place);
      const verified = await verifyBundle(files, { vkeys: options.vkey ?? [], recompute: recomputeCertificate });
      if (verified.verdict === 'failed') {
        throw new TacitError<VerifyErrorCode>(
          'VERIFICATION_FAILED',
          'the coordinator’s ledger does not hold by itself',
          {
            where: place,
            fix: 'Run "tacit ledger verify" on it: it names every entry.',
          },
        );
      }
      const result = reconcile(sideOf(files), await siteLedger(options.site));
      const terminal = openTerminal(options.json === true);
      terminal.emit(result);
      show(result, terminal);
      const [first] = result.partings;
      if (first === undefined) return;
      throw new TacitError<VerifyErrorCode>('VERIFICATION_FAILED', `the two ledgers part: ${first.what}`, {
        where: first.coordinator === null ? `run ${first.run}` : `entry ${first.coordinator}`,
        fix: 'Stop taking part; keep both ledgers and show them to the auditor.',
      });
    });
}

function show({ clientId, runs, partings, notes }: Reconciliation, terminal: Terminal): void {
  terminal.say(`site ${clientId}: ${runs.length} run(s), ${partings.length} difference(s)`);
  for (const r of runs)
    terminal.say(
      `run        ${r.run}: ${r.budget}: site set aside ε ${r.siteEpsilon}, coordinator ${r.coordinatorEpsilon === null ? 'nothing' : `ε ${r.coordinatorEpsilon}`}: ${r.agrees ? 'they agree' : 'THEY PART'}`,
    );
  for (const note of notes) terminal.say(`note       ${note}`);
  for (const p of partings)
    terminal.say(
      `DIFFERS    ${p.code}: ${p.what} (coordinator${place(p.coordinator)}: ${p.coordinatorSays}; site${place(p.site)}: ${p.siteSays})`,
    );
}

function place(index: number | null): string {
  return index === null ? '' : ` entry ${index}`;
}

function sideOf(files: BundleFiles): LedgerSide {
  const { origin } = peekCheckpoint(bundleText(files, 'checkpoint') ?? '');
  return side(origin, bundleEntries(files));
}

function side(origin: string, entries: readonly BundleEntry[]): LedgerSide {
  const tree = new MerkleTree();
  for (const { leafHash } of entries) tree.append(leafHash);
  return { origin, size: tree.size, entries, root: (size) => tree.root(size) };
}

/** Out of a state folder, or out of an export of it. */
async function siteLedger(dir: string): Promise<LedgerSide> {
  if (!isSite(dir)) return sideOf(await readBundle(dir, SITE_BYTES));
  return withSiteLedger(dir, async (reader) =>
    reader === undefined ? side('', []) : side(reader.origin, await reader.entries(0)),
  );
}
