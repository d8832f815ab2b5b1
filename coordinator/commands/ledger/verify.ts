import type { Command } from 'commander';
import { TacitError } from '../../../shared/core/errors.ts';
import { type VerifyReport, verifyBundle } from '../../../shared/ledger/verify.ts';
import { command, openTerminal, type Terminal } from '../../../shared/node/command-line.ts';
import { readTextFile } from '../../../shared/node/documents.ts';
import { table } from '../../../shared/node/format.ts';
import { recomputeCertificate } from '../../../shared/protocol/recompute.ts';
import { readLedger } from './read-ledger.ts';

export type VerifyErrorCode = 'VERIFICATION_FAILED';

/** `tacit ledger verify` */
export function verifyCommand(): Command {
  return command(
    'verify',
    'check an exported bundle offline, or a ledger at its address, trusting nothing in it',
    'tacit ledger verify bundle --vkey "tacit.local/ledger+1a2b3c4d+AW…"',
  )
    .argument('<bundle|url>', 'directory or .zip that "tacit ledger export" wrote, or the http(s) address of a ledger')
    .option('--vkey <key...>', 'keys that you got from elsewhere: the log’s, witnesses’')
    .option('--since <checkpoint>', 'file with a checkpoint that you saw earlier: the bundle must extend it')
    .option('--json', 'the whole report as one JSON object')
    .action(async (dir: string, options: { vkey?: string[]; since?: string; json?: boolean }) => {
      const files = await readLedger(dir);
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
