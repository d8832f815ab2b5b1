import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { z } from 'zod';
import { TacitError } from '../shared/core/errors.ts';
import { readYamlFile } from '../shared/node/documents.ts';

export type ConfigErrorCode = 'CONFIG_INVALID';

const port = z.coerce.number().int().min(0).max(65_535);
const origin = z.string().regex(/^https?:\/\/[^/\s?#]+$/, 'write it as http(s)://host[:port], without a path');

/** Every setting of a coordinator: its environment variable, meaning and form. Flags have the same names in kebab-case. */
export const SETTINGS = {
  name: { env: 'TACIT_NAME', about: 'name shown to participants', schema: z.string().min(1).max(100) },
  host: { env: 'TACIT_HOST', about: 'address to listen on', schema: z.string().min(1).max(253) },
  port: { env: 'TACIT_PORT', about: 'port to listen on; 0 takes a free one', schema: port },
  publicUrl: {
    env: 'TACIT_PUBLIC_URL',
    about: 'where participants reach this coordinator; by default host and port',
    schema: origin,
  },
  origin: {
    env: 'TACIT_ORIGIN',
    about: 'name of the ledger in its checkpoints: a URL without scheme',
    schema: z.string().regex(/^[a-z0-9][a-z0-9.-]*(:\d+)?(\/[a-z0-9._-]+)*$/, 'write it as host/path, without scheme'),
  },
  dataDir: { env: 'TACIT_DATA_DIR', about: 'directory of the store, keys and models', schema: z.string().min(1) },
  store: {
    env: 'TACIT_STORE',
    about: '"sqlite" (in the data directory) or a mongodb:// URI',
    schema: z.string().regex(/^(sqlite|mongodb(\+srv)?:\/\/\S+)$/, 'write "sqlite" or a mongodb:// URI'),
  },
  logLevel: {
    env: 'TACIT_LOG_LEVEL',
    about: 'least level that is logged',
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']),
  },
} as const satisfies Record<string, { env: string; about: string; schema: z.ZodType }>;

export type SettingName = keyof typeof SETTINGS;

export type CoordinatorConfig = {
  readonly [K in SettingName as K extends 'publicUrl' ? never : K]: z.output<(typeof SETTINGS)[K]['schema']>;
} & { readonly publicUrl: string | undefined };

/** Where a value came from: `flag`, the variable's name, the file's path or `default`. */
export type Sources = Readonly<Record<SettingName, string>>;

function defaults(): Readonly<Partial<Record<SettingName, unknown>>> {
  return {
    name: `Tacit on ${hostname()}`,
    host: '127.0.0.1',
    port: 7400,
    origin: 'tacit.local/ledger',
    dataDir: 'tacit-data',
    store: 'sqlite',
    logLevel: 'info',
  };
}

/**
 * Flags, then environment, then file, then defaults.
 * @param configFile - YAML or JSON with the names of {@link SETTINGS}
 * @throws CONFIG_INVALID with every problem and where its value came from
 */
export async function loadConfig(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  configFile: string | undefined,
): Promise<{ config: CoordinatorConfig; sources: Sources }> {
  const file = configFile === undefined ? {} : await readSettings(configFile);
  const fallback = defaults();
  const values: Record<string, unknown> = {};
  const sources: Record<string, string> = {};
  const problems: string[] = [];
  for (const [name, { env: variable, schema }] of Object.entries(SETTINGS)) {
    const [value, source] = firstOf([
      [flags[name], `--${kebab(name)}`],
      [env[variable] === '' ? undefined : env[variable], variable],
      [file[name], configFile ?? ''],
      [fallback[name as SettingName], 'default'],
    ]);
    sources[name] = source;
    if (value === undefined) continue;
    const parsed = schema.safeParse(value);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(`${name} (${source}): ${parsed.error.issues[0]?.message ?? 'invalid'}`);
  }
  if (problems.length > 0) {
    throw new TacitError<ConfigErrorCode>('CONFIG_INVALID', problems.join('; '), {
      fix: 'Run "tacit config print" to see every setting.',
    });
  }
  values.dataDir = resolve(String(values.dataDir));
  return { config: { publicUrl: undefined, ...values } as CoordinatorConfig, sources: sources as Sources };
}

async function readSettings(path: string): Promise<Readonly<Record<string, unknown>>> {
  const document = (await readYamlFile(path, 64 << 10)) ?? {};
  const unknown = typeof document === 'object' ? Object.keys(document).filter((k) => !(k in SETTINGS)) : [];
  if (typeof document !== 'object' || Array.isArray(document) || unknown.length > 0) {
    throw new TacitError<ConfigErrorCode>(
      'CONFIG_INVALID',
      unknown.length > 0 ? `unknown setting(s): ${unknown.join(', ')}` : 'not a list of settings',
      {
        where: path,
        fix: `The settings are: ${Object.keys(SETTINGS).join(', ')}.`,
      },
    );
  }
  return document as Readonly<Record<string, unknown>>;
}

function firstOf(candidates: readonly (readonly [unknown, string])[]): readonly [unknown, string] {
  return candidates.find(([value]) => value !== undefined) ?? [undefined, 'not set'];
}

export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
}
