import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { TacitError } from '../../shared/core/errors.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { BudgetProjection } from '../../shared/ledger/budget.ts';
import { BudgetBook } from '../../shared/ledger/budget-book.ts';
import { type BudgetOpening, budgetOpeningSchema } from '../../shared/ledger/entries.ts';
import { LedgerReader } from '../../shared/ledger/reader.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../shared/node/command-line.ts';
import { readYamlFile } from '../../shared/node/documents.ts';
import { table } from '../../shared/node/format.ts';
import { openKeystore } from '../../shared/node/keystore.ts';
import { type Approval, approve, openingEntry } from '../budgets/budget-opening.ts';
import { parsedDocument } from '../documents.ts';
import { passphraseFromEnvironment } from '../keys/identity.ts';
import { LEDGER_STREAM, openConfiguredStore } from '../store/open-store.ts';
import { type RemoteOptions, remoteOf, withRemote } from './remote.ts';
import { configOf, withSettings } from './settings.ts';
import { type Written, writing } from './writing.ts';

const DOCUMENT_BYTES = 64 << 10;
const STORE_SETTINGS = ['dataDir', 'store', 'origin'] as const;
const approvalFile = z.strictObject({ approver: z.string(), publicKey: z.string(), signature: z.string() });

/** `tacit budget approve|open|lower|list`. Opening takes two people: each signs the same document with a key of their own. */
export function budgetCommand(): Command {
  const group = command('budget', 'privacy budgets: how much epsilon each dataset may spend', 'tacit budget list');
  for (const sub of [approveCommand(), openCommand(), lowerCommand(), listCommand()]) group.addCommand(sub);
  return group;
}

function approveCommand(): Command {
  const example =
    'tacit budget approve opening.yaml --name "Data protection officer" --key officer.json > officer.approval.json';
  return command('approve', 'sign an opening as one of two people (the key is made on first use)', example)
    .argument('<opening>', 'document with budget {scope, unit, period}, epsilon, delta, revision, purpose, legalBasis')
    .requiredOption('--name <name>', 'who approves')
    .requiredOption('--key <file>', 'own key file, protected by TACIT_KEY_PASSPHRASE')
    .action(async (file: string, options: { name: string; key: string }) => {
      const opening = await readOpening(file);
      const { seed } = await openKeystore(options.key, { passphrase: passphraseFromEnvironment(), rng: systemRng });
      process.stdout.write(`${JSON.stringify(approve(opening, options.name, signerFromSeed(seed)))}\n`);
    });
}

function openCommand(): Command {
  const example = 'tacit budget open opening.yaml --approval officer.approval.json --approval head.approval.json';
  return withSettings(command('open', 'open or raise a budget that two people approved', example), STORE_SETTINGS)
    .argument('<opening>', 'the document that they signed')
    .requiredOption('--approval <file...>', 'what "tacit budget approve" wrote')
    .option('--json', 'one JSON object')
    .action(async (file: string, options: Record<string, unknown> & { approval: string[] }) => {
      const opening = await readOpening(file);
      const approvals = await Promise.all(options.approval.map(readApproval));
      const { config } = await configOf(options);
      const { ledgerIndex } = await writing(config, {
        offline: async (ledger) => {
          const { index } = await new BudgetBook(ledger).open(openingEntry(opening, approvals));
          await ledger.checkpoint();
          return { ledgerIndex: index };
        },
        online: (coordinator) => coordinator.post<Written>('/api/v1/budgets', { opening, approvals }),
      });
      const terminal = openTerminal(options['json'] === true);
      terminal.emit({ opened: opening.budget, epsilon: opening.epsilon, delta: opening.delta, ledgerIndex });
      terminal.say(`opened with epsilon ${opening.epsilon}, delta ${opening.delta}: ledger entry ${ledgerIndex}`);
    });
}

function lowerCommand(): Command {
  const example =
    'tacit budget lower --scope mail --unit record --period 2026 --epsilon 2 --delta 1e-5 --reason "new policy"';
  return withRemote(command('lower', 'lower a budget of a running coordinator, at once', example))
    .requiredOption('--scope <scope>', 'whose data')
    .requiredOption('--unit <unit>', 'record, person or client')
    .requiredOption('--period <period>', 'for example 2026')
    .requiredOption('--epsilon <number>', 'the new whole')
    .requiredOption('--delta <number>', 'the new whole')
    .requiredOption('--reason <text>', 'why; it becomes part of the ledger')
    .action(
      async (options: RemoteOptions & Record<'scope' | 'unit' | 'period' | 'epsilon' | 'delta' | 'reason', string>) => {
        const { scope, unit, period, epsilon, delta, reason } = options;
        const body = JSON.stringify({ budget: { scope, unit, period }, epsilon, delta, reason });
        const lowered = await remoteOf(options).post<{ ledgerIndex: number }>(
          '/api/v1/budgets/lower',
          body,
          'application/json',
        );
        const terminal = openTerminal(options.json === true);
        terminal.emit(lowered);
        terminal.say(`lowered to epsilon ${epsilon}, delta ${delta}: ledger entry ${lowered.ledgerIndex}`);
      },
    );
}

function listCommand(): Command {
  return withSettings(
    command('list', 'every budget: whole, spent, reserved, left', 'tacit budget list --data-dir tacit-data'),
    STORE_SETTINGS,
  )
    .option('--json', 'one JSON object a line')
    .action(async (options: Record<string, unknown>) => {
      const { config } = await configOf(options);
      const store = await openConfiguredStore(config);
      try {
        const reader = await LedgerReader.openReader({ store, stream: LEDGER_STREAM, origin: config.origin });
        const budgets = new BudgetProjection();
        for (const { entry } of await reader.entries(0)) budgets.apply(entry);
        const terminal = openTerminal(options['json'] === true);
        for (const status of budgets.status()) terminal.emit(status);
        const rows = budgets
          .status()
          .map((b) => [
            b.budget.scope,
            b.budget.unit,
            b.budget.period,
            ...[b.epsilon, b.spent, b.reserved, b.left].map((n) => n.toFixed(3)),
          ]);
        const head = ['scope', 'unit', 'period', 'epsilon', 'spent', 'reserved', 'left'];
        for (const line of rows.length === 0 ? ['no budget is open'] : table([head, ...rows])) terminal.say(line);
      } finally {
        await store.close();
      }
    });
}

async function readOpening(file: string): Promise<BudgetOpening> {
  return parsedDocument(budgetOpeningSchema, await readYamlFile(file, DOCUMENT_BYTES), file);
}

/** A signature that somebody made with `approve`. @throws USAGE, DOCUMENT_INVALID */
export async function readApproval(file: string): Promise<Approval> {
  let document: unknown;
  try {
    document = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new TacitError<CommandLineErrorCode>('USAGE', 'this is not an approval', {
      where: file,
      fix: 'Make it with "tacit budget approve".',
      cause,
    });
  }
  return parsedDocument(approvalFile, document, file);
}
