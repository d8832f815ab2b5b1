import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hex, utf8 } from '../../../shared/core/bytes.ts';
import { canonicalJson } from '../../../shared/core/canonical.ts';
import { sha256Hex } from '../../../shared/core/hash.ts';
import { maskedBytes } from '../../../shared/secagg/mask.ts';
import type { Signed } from '../../../shared/secagg/messages.ts';
import { Session } from '../../support/secagg-session.ts';

const transcriptFile = new URL('../../../docs/secagg-sample-session.jsonl', import.meta.url);
const documentFile = new URL('../../../docs/PROTOCOL.md', import.meta.url);
const begin = '<!-- sample session: begin -->';
const end = '<!-- sample session: end -->';

/** Five clients with the vectors [u, 10u, 100u, 1000u]; the fifth vanishes in its upload. */
async function sample(): Promise<{ transcript: string; summary: string }> {
  const lines: string[] = [];
  const note = (from: string, to: string, name: string, signed: Signed): Signed => {
    lines.push(canonicalJson({ from, to, name, signed }));
    return signed;
  };
  const session = new Session({ n: 5, dimension: 4, chunkBytes: 8 }, 'tacit sample session 1');
  session.drops.set('client-005', 'upload');
  session.inputOf = (id) => Uint32Array.of(1, 10, 100, 1000).map((x) => x * Number(id.slice(-3)));
  session.toClient = ({ to, name, signed }) => note('server', to, name, signed);
  session.toServer = ({ to, name, signed }) => note(to, 'server', name, signed);
  await session.run();
  const words = (values: Uint32Array): string => `[${[...values].join(', ')}]`;
  const rows = ['client-001', 'client-002', 'client-003', 'client-004'].map((id) => {
    const client = session.clients.get(id);
    const upload = client?.masked;
    if (client === undefined || upload === undefined) throw new Error('every survivor uploads');
    return `${id}  x = ${words(session.inputs.get(id) as Uint32Array)}\n            self mask key ${hex(client.streams[0]?.key as Uint8Array)}\n            y = ${hex(maskedBytes(upload))}`;
  });
  const transcript = `${lines.join('\n')}\n`;
  const summary = [
    `H(M0)       ${session.server.session}`,
    `sid         ${session.server.group?.sidHex}`,
    `t, n_min    ${session.config.threshold}, ${session.config.minimumCohort}`,
    ...rows,
    `U3          ${session.survivors.join(', ')}`,
    `sum         ${words(session.accumulator)}`,
    `messages    ${lines.length}, ${transcript.length} bytes, SHA-256 ${sha256Hex(utf8(transcript))}`,
  ].join('\n');
  return { transcript, summary };
}

describe('docs/PROTOCOL.md', () => {
  test('its sample session is what the code does, byte for byte', async () => {
    const { transcript, summary } = await sample();
    const document = readFileSync(documentFile, 'utf8');
    const [before, rest] = document.split(begin);
    const [, after] = (rest ?? '').split(end);
    const rendered = `${before}${begin}\n\`\`\`text\n${summary}\n\`\`\`\n${end}${after}`;
    if (process.env.TACIT_UPDATE_DOCS === '1') {
      writeFileSync(documentFile, rendered);
      writeFileSync(transcriptFile, transcript);
    }
    expect(readFileSync(documentFile, 'utf8')).toBe(rendered);
    expect(readFileSync(transcriptFile, 'utf8')).toBe(transcript);
    expect(summary).toContain('sum         [10, 100, 1000, 10000]');
  });

  test('lists every error code', () => {
    const source = readFileSync(new URL('../../../shared/secagg/errors.ts', import.meta.url), 'utf8');
    const codes = source.match(/'SECAGG_[A-Z_]+'/g) ?? [];
    const document = readFileSync(documentFile, 'utf8');
    expect(codes.length).toBeGreaterThan(20);
    for (const code of codes) expect(document).toContain(`\`${code.slice(1, -1)}\``);
  });
});
