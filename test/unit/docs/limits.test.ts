import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { HTTP_LIMITS } from '../../../coordinator/http/limits.ts';
import { LIMITS } from '../../../shared/core/limits.ts';

/** `npx vitest run test/unit/docs -u` writes docs/LIMITS.md anew. */
it('docs/LIMITS.md says what the code enforces', async () => {
  const page = [
    '# Limits',
    '',
    'Every bound on what another machine can make Tacit hold, and why it is what it is. Made from the source by',
    '`npx vitest run test/unit/docs -u`; a test keeps it current.',
    '',
    '## Between machines (`shared/core/limits.ts`)',
    '',
    ...(await rows('shared/core/limits.ts', LIMITS)),
    '',
    '## HTTP (`coordinator/http/limits.ts`)',
    '',
    ...(await rows('coordinator/http/limits.ts', HTTP_LIMITS)),
    '',
  ].join('\n');
  await expect(page).toMatchFileSnapshot('../../../docs/LIMITS.md');
});

/** The reasons are the comments above each bound: the source is their only home. */
async function rows(path: string, limits: Readonly<Record<string, number>>): Promise<string[]> {
  const source = await readFile(new URL(`../../../${path}`, import.meta.url), 'utf8');
  const reasons = new Map(
    [...source.matchAll(/\/\*\* (.+?) \*\/\s+(\w+):/g)].map(([, reason, name]) => [name, reason]),
  );
  return [
    '| limit | value | why |',
    '|---|---:|---|',
    ...Object.entries(limits).map(([name, value]) => {
      const reason = reasons.get(name);
      if (reason === undefined) throw new Error(`${path}: ${name} has no comment that says why`);
      return `| \`${name}\` | ${value.toLocaleString('en-US')} | ${reason} |`;
    }),
  ];
}
