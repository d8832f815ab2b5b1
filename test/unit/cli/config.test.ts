import { mkdtempSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../coordinator/config.ts';

const file = join(mkdtempSync(join(tmpdir(), 'tacit-config-')), 'tacit.yaml');

describe('configuration', () => {
  it('takes flags before environment before file before defaults, and says so', async () => {
    await writeFile(file, 'port: 1\nhost: file.example\nname: From file\n');
    const { config, sources } = await loadConfig(
      { port: '3' },
      { TACIT_PORT: '2', TACIT_HOST: 'env.example', TACIT_NAME: '' },
      file,
    );
    expect([config.port, config.host, config.name, config.store]).toEqual([3, 'env.example', 'From file', 'sqlite']);
    expect([sources.port, sources.host, sources.name, sources.store, sources.publicUrl]).toEqual([
      '--port',
      'TACIT_HOST',
      file,
      'default',
      'not set',
    ]);
  });

  it('reports every problem at once, with its source', async () => {
    await writeFile(file, 'logLevel: loud\n');
    await expect(
      loadConfig({ port: '99999', origin: 'https://x' }, { TACIT_PUBLIC_URL: 'http://x/path' }, file),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(
        /port \(--port\).*publicUrl \(TACIT_PUBLIC_URL\).*origin \(--origin\).*logLevel \(.*tacit.yaml\)/,
      ),
    });
  });

  it('refuses unknown settings and files that are not settings', async () => {
    await writeFile(file, 'prot: 1\n');
    await expect(loadConfig({}, {}, file)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'unknown setting(s): prot',
    });
    await writeFile(file, '[1]\n');
    await expect(loadConfig({}, {}, file)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await writeFile(file, '');
    expect((await loadConfig({}, {}, file)).config.port).toBe(7400);
  });
});
