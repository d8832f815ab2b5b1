import { mkdtempSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { readYamlFile } from '../../../shared/node/documents.ts';

const dir = mkdtempSync(join(tmpdir(), 'tacit-documents-'));
const written = async (name: string, text: string) => {
  await writeFile(join(dir, name), text);
  return join(dir, name);
};

describe('documents that people write', () => {
  it('reads YAML, and JSON as part of it', async () => {
    expect(await readYamlFile(await written('a.yaml', 'a: [1, x]\n'), 100)).toEqual({ a: [1, 'x'] });
    expect(await readYamlFile(await written('a.json', '{"a": 1e-5}'), 100)).toEqual({ a: 1e-5 });
  });

  it('says what is wrong, and where', async () => {
    await expect(readYamlFile(join(dir, 'none'), 100)).rejects.toMatchObject({
      code: 'FILE_MISSING',
      where: join(dir, 'none'),
    });
    await expect(readYamlFile(dir, 1e6)).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
    await expect(readYamlFile(await written('b.yaml', 'x'.repeat(101)), 100)).rejects.toMatchObject({
      code: 'FILE_TOO_LARGE',
    });
    await expect(readYamlFile(await written('c.yaml', 'a: 1\na: 2\n'), 100)).rejects.toMatchObject({
      code: 'DOCUMENT_INVALID',
      message: expect.stringMatching(/unique.*line 2/),
    });
    await expect(readYamlFile(await written('d.yaml', 'a: [1\n'), 100)).rejects.toMatchObject({
      code: 'DOCUMENT_INVALID',
    });
  });

  it('takes a list in the place of a name for the mistake that it is, and Node is not warned', async () => {
    const warned = vi.spyOn(process, 'emitWarning');
    await expect(
      readYamlFile(await written('e.yaml', 'a: 1\ntask: { [ham, spam]: x, {b: 1}: y }\n'), 100),
    ).rejects.toMatchObject({
      code: 'DOCUMENT_INVALID',
      message:
        'a name is expected, not a list or mapping, at line 2, column 9; a name is expected, not a list or mapping, at line 2, column 25',
    });
    expect(warned).not.toHaveBeenCalled();
  });

  it('does not unfold an alias bomb', async () => {
    const bomb = [
      'a0: &a0 [x,x,x,x,x,x,x,x,x]',
      ...Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(',')}]`),
    ].join('\n');
    await expect(readYamlFile(await written('e.yaml', bomb), 10_000)).rejects.toMatchObject({
      code: 'DOCUMENT_INVALID',
    });
  });
});
