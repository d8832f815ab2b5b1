import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files of a vectors directory, and of the base directory that its case names, under `../base/…`. */
export function caseFiles(dir: string): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const name of namesIn(dir)) files.set(name, readFileSync(join(dir, name)));
  const { base } = JSON.parse(readFileSync(join(dir, 'case.json'), 'utf8')) as { base?: string };
  if (base === undefined || !existsSync(join(dir, base))) return files;
  for (const name of namesIn(join(dir, base))) files.set(`${base}/${name}`, readFileSync(join(dir, base, name)));
  return files;
}

function namesIn(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}
