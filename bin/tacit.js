#!/usr/bin/env node
// Hands over to the built program: `client` to the client application, everything else to the coordinator's.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = process.argv[2] === 'client' ? 'client-node/cli' : 'coordinator/cli';
const built = new URL(`../dist/${program}.js`, import.meta.url);
if (existsSync(fileURLToPath(built))) {
  const { main } = await import(built.href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  console.error(
    `NOT_BUILT: ${fileURLToPath(built)} is missing. Run "npm ci" (or "npm run build") in the package's directory.`,
  );
  process.exitCode = 2;
}
