import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { TacitError } from '../shared/core/errors.ts';
import { command, openTerminal, runCommand } from '../shared/node/command-line.ts';
import { useOpensslCrypto } from '../shared/node/native-crypto.ts';
import { parseJoinCode } from '../shared/protocol/join-code.ts';
import { createProgress } from './progress.ts';
import { changeSiteKey } from './site.ts';
import { takePart } from './take-part.ts';
import { withdrawConsent } from './withdraw.ts';

const STATE = ['--state <dir>', 'directory of your identity, memory and ledger', join(homedir(), '.tacit')] as const;

interface Options {
  readonly join: string;
  readonly data: string;
  readonly policy?: string;
  readonly organisation: string;
  readonly state: string;
  readonly json?: boolean;
}

/** `tacit client`, `tacit client rotate-key` and `tacit client withdraw`. @returns the exit code */
export function main(argv: readonly string[]): Promise<number> {
  useOpensslCrypto();
  const program = command('tacit', 'Federated learning on text that never leaves its owner', 'tacit client --help');
  // What `client` needs, these do not, so they are no subcommands of it but commands beside it.
  const beside = { withdraw: withdrawCommand, 'rotate-key': rotateKeyCommand }[argv[1] ?? ''];
  if (beside !== undefined) return runCommand(program.name('tacit client').addCommand(beside()), argv.slice(1));
  const example = 'tacit client --join "https://host/#join=…" --data records.csv --policy policy.yaml';
  const client = command('client', 'take part in a run with your own data, under your own policy', example)
    .requiredOption('--join <link>', 'the join link that the coordinator gave you')
    .requiredOption('--data <path>', 'your records: CSV, JSON Lines, or a folder of texts')
    .option('--policy <file>', 'your own rules; without them every plan is refused')
    .option('--organisation <name>', 'name shown to the coordinator', hostname())
    .option(...STATE)
    .option('--json', 'one JSON object a line')
    .action(takePartUntilEnd);
  client.addHelpText('after', '\nAlso: tacit client rotate-key --help\n      tacit client withdraw --help');
  return runCommand(program.addCommand(client), argv);
}

function rotateKeyCommand() {
  const example = 'tacit client rotate-key --state ~/.tacit --reason "yearly change"';
  return command('rotate-key', 'give this site another key; it stays the same participant', example)
    .requiredOption('--reason <text>', 'why; it becomes part of your ledger and the coordinator’s')
    .option(...STATE)
    .option('--json', 'one JSON object')
    .action(async (options: { reason: string; state: string; json?: boolean }) => {
      const { index, clientId } = await changeSiteKey(options.state, passphraseFromEnvironment(), options.reason);
      const terminal = openTerminal(options.json === true);
      terminal.emit({ rotated: true, clientId, ledgerIndex: index });
      terminal.say(`client ${clientId} has another key since entry ${index} of its own ledger; the old one is gone`);
      terminal.say('Coordinators are shown the change, signed by both keys, when you take part next.');
    });
}

function withdrawCommand() {
  const example = 'tacit client withdraw --join "https://host/#join=…" --reason "our board decided so"';
  return command('withdraw', 'take your consent to a run back; stop the client first', example)
    .requiredOption('--join <link>', 'the join link that you took part with')
    .requiredOption('--reason <text>', 'why; it becomes part of the coordinator’s ledger and of yours')
    .option(...STATE)
    .option('--json', 'one JSON object a line')
    .action(async (options: { join: string; reason: string; state: string; json?: boolean }) => {
      parseJoinCode(options.join);
      const terminal = openTerminal(options.json === true);
      const { join: link, reason, state } = options;
      const { run } = await withdrawConsent({ link, reason, state, passphrase: passphraseFromEnvironment() });
      terminal.emit({ withdrawn: true, run });
      terminal.say(
        `withdrawn  your consent to ${run}: signed, and in the coordinator’s ledger; later rounds are without you`,
      );
      terminal.say('What earlier rounds released is part of noisy sums and cannot be called back; it stays charged.');
    });
}

function passphraseFromEnvironment(): string | undefined {
  const passphrase = process.env.TACIT_KEY_PASSPHRASE;
  return passphrase === '' ? undefined : passphrase;
}

/** Ctrl-C leaves in order: the round goes on without this client. */
async function takePartUntilEnd(options: Options): Promise<void> {
  parseJoinCode(options.join);
  const terminal = openTerminal(options.json === true);
  const leave = new AbortController();
  const stop = (): void => leave.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const show = createProgress(terminal);
  const settings = {
    link: options.join,
    data: options.data,
    policyFile: options.policy,
    organisation: options.organisation,
    state: options.state,
    passphrase: passphraseFromEnvironment(),
  };
  try {
    for await (const event of takePart(settings, terminal, leave.signal)) {
      show(event);
      if (event.kind === 'failed') throw failure(event.code, event.message, event.fix);
      if (event.kind === 'refused') throw failure(event.code, event.reason, 'Nothing was sent but this refusal.');
    }
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}

function failure(code: string, what: string, fix: string | undefined): TacitError {
  return new TacitError(code, what, fix === undefined ? {} : { fix });
}
