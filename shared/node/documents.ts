import { readFile, stat } from 'node:fs/promises';
import { type Document, isCollection, LineCounter, parseDocument, visit } from 'yaml';
import { TacitError } from '../core/errors.ts';

export type DocumentErrorCode = 'FILE_MISSING' | 'FILE_UNREADABLE' | 'FILE_TOO_LARGE' | 'DOCUMENT_INVALID';

/** Text of a small file that a person wrote. @throws FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE */
export async function readTextFile(path: string, maxBytes: number): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) {
      throw new TacitError<DocumentErrorCode>(
        'FILE_TOO_LARGE',
        `the file has ${size} bytes, at most ${maxBytes} are read`,
        { where: path },
      );
    }
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof TacitError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new TacitError<DocumentErrorCode>('FILE_MISSING', 'there is no such file', {
        where: path,
        fix: 'Check the path.',
        cause,
      });
    }
    throw new TacitError<DocumentErrorCode>(
      'FILE_UNREADABLE',
      `the file cannot be read (${(cause as NodeJS.ErrnoException).code})`,
      {
        where: path,
        fix: 'Name a file, and check its permissions.',
        cause,
      },
    );
  }
}

/** A YAML (or JSON, its subset) document. @throws DOCUMENT_INVALID with line and column of every problem */
export function parseYaml(text: string, where: string): unknown {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true, lineCounter });
  const problems = [...document.errors.map((e) => e.message.split('\n')[0]), ...unnamed(document, lineCounter)].join(
    '; ',
  );
  if (problems !== '') {
    throw new TacitError<DocumentErrorCode>('DOCUMENT_INVALID', problems, { where, fix: 'Write it as YAML or JSON.' });
  }
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new TacitError<DocumentErrorCode>('DOCUMENT_INVALID', 'its aliases unfold into too much', {
      where,
      fix: 'Write it without aliases.',
      cause,
    });
  }
}

/** A list or mapping in the place of a name: `{ [ham, spam]: 1 }`, or `{ { x } }`. YAML allows it; no document of ours has a use for it. */
function unnamed(document: Document, lines: LineCounter): string[] {
  const problems: string[] = [];
  visit(document, {
    Pair(_, { key }) {
      if (!isCollection(key)) return;
      const { line, col } = lines.linePos(key.range?.[0] ?? 0);
      problems.push(`a name is expected, not a list or mapping, at line ${line}, column ${col}`);
    },
  });
  return problems;
}

/** {@link readTextFile}, then {@link parseYaml}. */
export async function readYamlFile(path: string, maxBytes: number): Promise<unknown> {
  return parseYaml(await readTextFile(path, maxBytes), path);
}
