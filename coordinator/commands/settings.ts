import type { Command } from 'commander';
import { type CoordinatorConfig, kebab, loadConfig, SETTINGS, type SettingName, type Sources } from '../config.ts';

/** Adds a flag for each of the named settings, and `--config`. */
export function withSettings(command: Command, names: readonly SettingName[]): Command {
  for (const name of names)
    command.option(`--${kebab(name)} <value>`, `${SETTINGS[name].about} (${SETTINGS[name].env})`);
  return command.option('--config <file>', 'settings file, YAML or JSON (TACIT_CONFIG)');
}

/** Settings of a parsed command line, with where each came from. @throws CONFIG_INVALID */
export function configOf(
  options: Readonly<Record<string, unknown>>,
): Promise<{ config: CoordinatorConfig; sources: Sources }> {
  const file = options.config ?? process.env.TACIT_CONFIG;
  return loadConfig(options, process.env, typeof file === 'string' && file !== '' ? file : undefined);
}

export const ALL_SETTINGS = Object.keys(SETTINGS) as readonly SettingName[];
