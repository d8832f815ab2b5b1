import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Every benchmark: a module of this directory that measures when it is the command. */
const BENCHES = ['accountant', 'secagg', 'training', 'utility', 'search'] as const;

/** `npm run bench -- NAME [options]`: one JSON object a measured row. Progress goes to standard error. */
const [name, ...rest] = process.argv.slice(2).filter((word) => word !== '--json');
const file = join(import.meta.dirname, `${name}.js`);
if (name !== undefined && (BENCHES as readonly string[]).includes(name) && existsSync(file)) {
  process.argv = [process.argv[0] ?? '', file, ...rest];
  await import(file);
} else {
  console.error(`USAGE: name one of ${BENCHES.join(', ')}, e.g. "npm run bench -- accountant".`);
  process.exitCode = 2;
}
