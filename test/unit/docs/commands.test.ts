import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { main as client } from '../../../client-node/cli.ts';
import { main as coordinator } from '../../../coordinator/cli.ts';
import { packageRoot } from '../../../shared/node/package-root.ts';

const docs = (await readdir(join(packageRoot, 'docs'))).filter((name) => name.endsWith('.md'));
const pages = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', ...docs.map((name) => join('docs', name))];

/** Command lines of a page: indented blocks, code fences and `code`, without comments and placeholders' values. */
function commandLines(text: string): string[] {
  const joined = text.replaceAll('\\\n', ' ');
  const lines = [...joined.matchAll(/^(?: {4}(?:\$ )?|.*-- )?tacit ([a-z].*)$/gm)].map(([, rest]) => rest as string);
  const inline = [...joined.matchAll(/`tacit ([a-z][^`]*)`/g)].map(([, rest]) => rest as string);
  return [...lines, ...inline].flatMap((line) => {
    const [first = ''] = line.split(/ {2,}| #|;/);
    return alternatives(first.trim());
  });
}

/** `a b|c` is `a b` and `a c`. */
function alternatives(line: string): string[] {
  const at = /(?:^| )([a-z-]+(?:\|[a-z-]+)+)(?= |$)/.exec(line);
  if (at === null) return [line];
  const words = at[1] as string;
  return words.split('|').flatMap((word) => alternatives(line.replace(words, word)));
}

/** Help of the longest command that the line begins with. */
async function helpOf(line: string): Promise<string> {
  const words = line.split(' ').filter((word) => /^[a-z][a-z-]*$/.test(word));
  const out: string[] = [];
  const written = vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  const said = vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  try {
    for (let n = Math.min(words.length, 3); n > 0; n--) {
      const args = words.slice(0, n);
      const program = args[0] === 'client' ? client : coordinator;
      out.length = 0;
      if ((await program([...args, '--help'])) === 0 && out.join('').startsWith(`Usage: tacit ${args.join(' ')}`))
        return out.join('');
    }
    return '';
  } finally {
    written.mockRestore();
    said.mockRestore();
  }
}

it.each(pages)('%s names commands and flags that there are', async (page) => {
  const lines = [...new Set(commandLines(await readFile(join(packageRoot, page), 'utf8')))];
  for (const line of lines) {
    const help = await helpOf(line);
    expect(help, `tacit ${line}`).not.toBe('');
    // A second word that is no argument is a subcommand, and must be one.
    const [first, second] = line.split(' ');
    if (/^Commands:/m.test(help) && second !== undefined && /^[a-z-]+$/.test(second))
      expect(help, `tacit ${line}`).toMatch(new RegExp(`Usage: tacit ${first} ${second}`));
    for (const [flag] of line.matchAll(/--[a-z][a-z-]*/g)) expect(help, `tacit ${line}: ${flag}`).toContain(flag);
  }
});

it('README.md lists every command', async () => {
  const readme = await readFile(join(packageRoot, 'README.md'), 'utf8');
  const help = await helpOf('start');
  expect(help).not.toBe('');
  const out: string[] = [];
  const written = vi.spyOn(process.stdout, 'write').mockImplementation((text) => out.push(String(text)) > 0);
  await coordinator(['--help']);
  written.mockRestore();
  const [, list = ''] = out.join('').split('Commands:');
  const commands = [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name as string);
  expect(commands.length).toBeGreaterThan(12);
  const listed = commandLines(readme).map((line) => line.split(' ')[0]);
  for (const name of commands) expect(listed, `README.md: tacit ${name}`).toContain(name);
});
