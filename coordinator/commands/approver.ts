import { rename } from 'node:fs/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { base64 } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { signerFromSeed } from '../../shared/core/signing.ts';
import { changedApprovers } from '../../shared/ledger/approver-change.ts';
import { BudgetProjection } from '../../shared/ledger/budget.ts';
import { approverChangeSchema } from '../../shared/ledger/entries.ts';
import { handOver } from '../../shared/ledger/key-chain.ts';
import type { LedgerReader } from '../../shared/ledger/reader.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../shared/node/command-line.ts';
import { readYamlFile } from '../../shared/node/documents.ts';
import { openKeystore } from '../../shared/node/keystore.ts';
import { readIfThere } from '../../shared/node/secret-file.ts';
import type { AboutView, PolicyView } from '../../shared/protocol/views.ts';
import { setApprovers } from '../budgets/approvers.ts';
import { approveChange } from '../budgets/budget-opening.ts';
import { parsedDocument } from '../documents.ts';
import { passphraseFromEnvironment } from '../keys/identity.ts';
import { readApproval } from './budget.ts';
import { STORE_SETTINGS, withReader } from './ledger/reader.ts';
import { defaultCoordinator, remoteOf } from './remote.ts';
import { configOf, withSettings } from './settings.ts';
import { type Written, writing } from './writing.ts';

const DOCUMENT_BYTES = 64 << 10;
const person = z.strictObject({ name: z.string().min(1).max(200), publicKey: z.base64().length(44) });

interface Change {
  readonly add?: string[];
  readonly remove?: string[];
  readonly approval?: string[];
}

/** `tacit approver key|set|propose|approve|rotate|list`: whose signatures open and raise budgets. */
export function approverCommand(): Command {
  const group = command('approver', 'who may approve budgets', 'tacit approver list --data-dir tacit-data');
  for (const sub of [keyCommand(), setCommand(), proposeCommand(), approveCommand(), rotateCommand(), listCommand()])
    group.addCommand(sub);
  return group;
}

function keyCommand(): Command {
  const example = 'tacit approver key --name "Data protection officer" --key officer.json > officer.pub.json';
  return signing(command('key', 'your public key as an approver (the key is made on first use)', example)).action(
    async (options: { name: string; key: string }) => {
      const { publicKey } = await ownSigner(options.key);
      process.stdout.write(`${JSON.stringify({ name: options.name, publicKey: base64(publicKey) })}\n`);
    },
  );
}

function setCommand(): Command {
  const example = 'tacit approver set --add officer.pub.json --add head.pub.json --data-dir tacit-data';
  return changing(command('set', 'change who may approve: the first list alone, later ones with approvals', example))
    .option('--approval <file...>', 'what approvers in office made with "tacit approver approve"')
    .option('--json', 'one JSON object')
    .action(async (options: Record<string, unknown> & Change) => {
      const approvals = await Promise.all((options.approval ?? []).map(readApproval));
      const { config } = await configOf(options);
      const { change, ledgerIndex } = await writing(config, {
        offline: async (ledger) => {
          const change = await proposed(ledger, options);
          return { change, ledgerIndex: (await setApprovers(ledger, change, approvals)).index };
        },
        online: async (coordinator) => {
          const { approvers, revision } = await coordinator.get<PolicyView>('/api/v1/budgets/proposals');
          const change = await proposedTo({ approvers: [...approvers], approverRevision: revision }, options);
          return { change, ...(await coordinator.post<Written>('/api/v1/approvers', { change, approvals })) };
        },
      });
      const terminal = openTerminal(options['json'] === true);
      terminal.emit({ approvers: change.approvers, ledgerIndex });
      if (change.approvers.length === 2)
        terminal.say('Name a third: with two, a lost key cannot be replaced, because a change takes two signatures.');
      terminal.say(
        `${change.approvers.map((a) => a.name).join(', ') || 'nobody'} may approve budgets: ledger entry ${ledgerIndex}`,
      );
    });
}

function proposeCommand(): Command {
  const example = 'tacit approver propose --remove "Head of research" --data-dir tacit-data > change.json';
  return changing(command('propose', 'the change that approvers in office sign', example)).action(
    (options: Record<string, unknown> & Change) =>
      withReader(options, async (reader) => {
        process.stdout.write(`${JSON.stringify(await proposed(reader, options))}\n`);
      }),
  );
}

function approveCommand(): Command {
  const example = 'tacit approver approve change.json --name "Officer" --key officer.json > officer.approval.json';
  return signing(command('approve', 'sign a change of the approvers', example))
    .argument('<change>', 'what "tacit approver propose" wrote')
    .action(async (file: string, options: { name: string; key: string }) => {
      const change = parsedDocument(approverChangeSchema, await readYamlFile(file, DOCUMENT_BYTES), file);
      const approval = approveChange(change, options.name, await ownSigner(options.key));
      process.stdout.write(`${JSON.stringify(approval)}\n`);
    });
}

/** Run again after it broke off, it goes on: the new key is in its own file until the ledger names it. */
function rotateCommand(): Command {
  const example =
    'tacit approver rotate --name "Officer" --key officer.json --reason "new laptop" --coordinator https://coordinator.example';
  return signing(command('rotate', 'hand over to another key of your own; the old one is gone afterwards', example))
    .requiredOption('--reason <text>', 'why; it becomes part of the ledger')
    .option('--coordinator <url>', 'address of the coordinator (TACIT_COORDINATOR)', defaultCoordinator())
    .option('--json', 'one JSON object')
    .action(async (options: { name: string; key: string; reason: string; coordinator: string; json?: boolean }) => {
      const { name, key, reason, json } = options;
      const remote = remoteOf({ coordinator: options.coordinator });
      const { origin } = await remote.get<AboutView>('/api/v1/about');
      if ((await readIfThere(key)) === undefined)
        throw new TacitError<CommandLineErrorCode>('USAGE', 'there is no such key file', { where: key });
      const nextKey = `${key}.next`;
      // Both are opened before anything is sent; `ownSigner` makes the new one.
      const [old, next] = [await ownSigner(key), await ownSigner(nextKey)];
      const handover = handOver({ role: 'approver', name, origin, reason }, old, next);
      const { ledgerIndex } = await remote.ask<Written>('/api/v1/approvers/keys', JSON.stringify(handover));
      await rename(nextKey, key);
      const publicKey = base64(next.publicKey);
      const terminal = openTerminal(json === true);
      terminal.emit({ rotated: name, publicKey, ledgerIndex });
      terminal.say(`${name} signs with another key since ledger entry ${ledgerIndex}: ${publicKey}`);
      terminal.say('Keep a copy of the key file, and tell the others its public key by a way that you trust.');
    });
}

function listCommand(): Command {
  const sub = command('list', 'who may approve budgets now', 'tacit approver list --data-dir tacit-data');
  return withSettings(sub, STORE_SETTINGS)
    .option('--json', 'one JSON object a line')
    .action((options: Record<string, unknown>) =>
      withReader(options, async (reader) => {
        const terminal = openTerminal(options['json'] === true);
        const { approvers } = await projection(reader);
        if (approvers.length === 0) terminal.say('nobody is named: any two different keys open a budget');
        for (const approver of approvers) {
          terminal.emit(approver);
          terminal.say(`${approver.name}  ${approver.publicKey}`);
        }
      }),
    );
}

function changing(sub: Command): Command {
  return withSettings(sub, STORE_SETTINGS)
    .option('--add <file...>', 'what "tacit approver key" wrote')
    .option('--remove <name...>', 'approvers who leave');
}

function signing(sub: Command): Command {
  return sub
    .requiredOption('--name <name>', 'who you are')
    .requiredOption('--key <file>', 'own key file, protected by TACIT_KEY_PASSPHRASE');
}

async function ownSigner(file: string) {
  const { seed } = await openKeystore(file, { passphrase: passphraseFromEnvironment(), rng: systemRng });
  return signerFromSeed(seed);
}

async function proposed(reader: LedgerReader, change: Change) {
  return proposedTo(await projection(reader), change);
}

async function proposedTo(state: Parameters<typeof changedApprovers>[0], { add = [], remove = [] }: Change) {
  const people = await Promise.all(
    add.map(async (file) => parsedDocument(person, await readYamlFile(file, DOCUMENT_BYTES), file)),
  );
  return changedApprovers(state, people, remove);
}

async function projection(reader: LedgerReader): Promise<BudgetProjection> {
  const state = new BudgetProjection();
  for (const { entry } of await reader.entries(0)) state.apply(entry);
  return state;
}
