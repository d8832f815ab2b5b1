import type { Command } from 'commander';
import { command, openTerminal } from '../../shared/node/command-line.ts';
import type { SettingName } from '../config.ts';
import { ALL_SETTINGS, configOf, withSettings } from './settings.ts';

/** `tacit config print` */
export function configCommand(): Command {
  const print = withSettings(
    command('print', 'show every setting and where its value came from', 'TACIT_PORT=7500 tacit config print'),
    ALL_SETTINGS,
  )
    .option('--json', 'one JSON object')
    .action(async (options: Record<string, unknown>) => {
      const { config, sources } = await configOf(options);
      const terminal = openTerminal(options.json === true);
      for (const name of ALL_SETTINGS) {
        const value = shown(name, config[name]);
        terminal.emit({ setting: name, value: value ?? null, source: sources[name] });
        terminal.say(`${name.padEnd(10)} ${String(value ?? '-').padEnd(36)} ${sources[name]}`);
      }
    });
  return command('config', 'settings of the coordinator', 'tacit config print').addCommand(print);
}

/** A store's URI may hold a password: it is never printed. */
function shown(name: SettingName, value: unknown): unknown {
  return name === 'store' && typeof value === 'string' ? value.replace(/\/\/[^/]*@/, '//') : value;
}
