import { Command, CommanderError } from 'commander';
import { TacitError } from '../core/errors.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';

/** Codes of the command line itself. */
export type CommandLineErrorCode = 'USAGE' | 'INTERNAL';

/** Where a command writes: lines for people or, with `--json`, one object a line. Only results go to `out`. */
export interface Terminal {
  readonly json: boolean;
  /** True when a person watches and a line may be drawn over. */
  readonly live: boolean;
  /** A line for people; nothing with `--json`. */
  say(line: string): void;
  /** One object on a line of its own; nothing without `--json`. */
  emit(value: unknown): void;
  /** Draws over the last such line; only where `live`. */
  status(line: string): void;
}

export function openTerminal(json: boolean): Terminal {
  const live = !json && process.stdout.isTTY === true;
  let drawn = false;
  const clear = (): void => {
    if (drawn) process.stdout.write('\r\x1b[2K');
    drawn = false;
  };
  return {
    json,
    live,
    say(line) {
      if (json) return;
      clear();
      process.stdout.write(`${line}\n`);
    },
    emit(value) {
      if (json) process.stdout.write(`${JSON.stringify(value)}\n`);
    },
    status(line) {
      if (!live) return;
      clear();
      process.stdout.write(line.slice(0, Math.max(20, (process.stdout.columns || 80) - 1)));
      drawn = true;
    },
  };
}

/**
 * A (sub)command that never exits by itself: problems with flags become coded errors, help goes to standard output.
 * @param example - a command line that works, printed below the options
 */
export function command(name: string, description: string, example: string): Command {
  return new Command(name)
    .description(description)
    .addHelpText('after', `\nExample:\n  $ ${example}`)
    .showHelpAfterError(false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
}

/** A reader that went away (`tacit … | head`) is not an error of ours. */
function endOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(EXIT.ok);
}

/** Parses and runs; returns the exit code and prints any failure as one coded sentence. */
export async function runCommand(program: Command, argv: readonly string[]): Promise<number> {
  process.stdout.off('error', endOnClosedPipe).on('error', endOnClosedPipe);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    const coded = error instanceof CommanderError ? usageError(program, error, argv) : error;
    printError(coded, argv.includes('--json'));
    return exitCodeOf(coded);
  }
}

function usageError(
  program: Command,
  error: CommanderError,
  argv: readonly string[],
): TacitError<CommandLineErrorCode> {
  const path = [program.name()];
  let at = program;
  for (const word of argv) {
    const next = at.commands.find((c) => c.name() === word);
    if (next === undefined) break;
    at = next;
    path.push(word);
  }
  const help = [...path, '--help'].join(' ');
  const what =
    error.code === 'commander.help'
      ? 'a command is missing'
      : error.message
          .replace(/^error: /, '')
          .split('\n')
          .join(' ');
  return new TacitError<CommandLineErrorCode>('USAGE', what, { fix: `Run "${help}".`, cause: error });
}

/** To standard error: a sentence, or with `--json` the object `{"event":"error", code, what, …}`. */
export function printError(error: unknown, json: boolean): void {
  if (error instanceof TacitError) {
    process.stderr.write(`${json ? JSON.stringify({ event: 'error', ...error.toJSON() }) : error.toString()}\n`);
    return;
  }
  const what = error instanceof Error ? error.message : String(error);
  const detail = process.env.TACIT_DEBUG !== undefined && error instanceof Error ? `\n${error.stack}` : '';
  const line = json
    ? JSON.stringify({ event: 'error', code: 'INTERNAL', what })
    : `INTERNAL: ${what}. This is a defect; run again with TACIT_DEBUG=1 for the details.${detail}`;
  process.stderr.write(`${line}\n`);
}
