import { join } from 'node:path';
import type { Command } from 'commander';
import { pino } from 'pino';
import { command, openTerminal } from '../../shared/node/command-line.ts';
import { packageRoot } from '../../shared/node/package-root.ts';
import { untilInterrupted } from './interrupt.ts';
import { configOf, withSettings } from './settings.ts';

/** `tacit start`: everything on one machine, on real mail. */
export function startCommand(): Command {
  return withSettings(
    command(
      'start',
      'the whole loop on this machine: a coordinator, five organisations, real mail',
      'tacit start --exit',
    ),
    ['host', 'port', 'name', 'dataDir'],
  )
    .option('--plan <file>', 'another plan for the same mail', join(packageRoot, 'plans', 'quickstart.yaml'))
    .option('--exit', 'end after the closing table instead of serving on')
    .option('--compare', 'train the same without noise too, to see what privacy costs')
    .option('--json', 'events as JSON, one a line')
    .action(async (options: Record<string, unknown> & { plan: string }) => {
      // The engine and the store load in a second; help and mistakes should not wait for them.
      const { start } = await import('../start/start.ts');
      // A free port and a temporary directory unless somebody says otherwise: nothing of an earlier start is in the way.
      const wanted = { ...options, port: options['port'] ?? process.env.TACIT_PORT ?? '0' };
      const { config, sources } = await configOf(wanted);
      await untilInterrupted((signal) =>
        start({
          planFile: options.plan,
          dataDir: sources.dataDir === 'default' ? undefined : config.dataDir,
          config: { ...config, store: 'sqlite' },
          exit: options['exit'] === true,
          compare: options['compare'] === true,
          terminal: openTerminal(options['json'] === true),
          log: pino({ level: process.env.TACIT_LOG_LEVEL ?? 'warn' }, pino.destination(2)),
          signal,
        }),
      );
    });
}
