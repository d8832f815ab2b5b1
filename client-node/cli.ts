import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { TacitError } from '../shared/core/errors.ts';
import { command, openTerminal, runCommand } from '../shared/node/command-line.ts';
import { useOpensslCrypto } from '../shared/node/native-crypto.ts';
import { parseJoinCode } from '../shared/protocol/join-code.ts';
import { createProgress } from './progress.ts';
import { takePart } from './take-part.ts';

interface Options {
  readonly join: string;
  readonly data: string;
  readonly policy?: string;
  readonly organisation: string;
  readonly state: string;
  readonly json?: boolean;
}

/** `tacit client`. @returns the exit code */
export function main(argv: readonly string[]): Promise<number> {
  useOpensslCrypto();
  const example = 'tacit client --join "https://host/#join=…" --data records.csv --policy policy.yaml';
  const client = command('client', 'take part in a run with your own data, under your own policy', example)
    .requiredOption('--join <link>', 'the join link that the coordinator gave you')
    .requiredOption('--data <path>', 'your records: CSV, JSON Lines, or a folder of texts')
    .option('--policy <file>', 'your own rules; without them every plan is refused')
    .option('--organisation <name>', 'name shown to the coordinator', hostname())
    .option('--state <dir>', 'directory of your identity, memory and ledger', join(homedir(), '.tacit'))
    .option('--json', 'one JSON object a line')
    .action(takePartUntilEnd);
  return runCommand(
    command('tacit', 'Federated learning on text that never leaves its owner', example).addCommand(client),
    argv,
  );
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
    passphrase: process.env.TACIT_KEY_PASSPHRASE === '' ? undefined : process.env.TACIT_KEY_PASSPHRASE,
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
