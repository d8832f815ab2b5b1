import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hex, utf8 } from '../../../shared/core/bytes.ts';
import { canonicalJson } from '../../../shared/core/canonical.ts';
import { sha256Hex } from '../../../shared/core/hash.ts';
import { littleEndianBytes } from '../../../shared/core/keystream.ts';
import type { Signed } from '../../../shared/secagg/messages.ts';
import { addTo, Session } from '../../support/secagg-session.ts';

const transcriptFile = new URL('../../../docs/secagg-sample-session.jsonl', import.meta.url);
const documentFile = new URL('../../../docs/PROTOCOL.md', import.meta.url);
const begin = '<!-- sample session: begin -->';
const end = '<!-- sample session: end -->';

/** Five clients with the vectors [u, 10u, 100u, 1000u]; the fifth vanishes in its upload. */
async function sample(): Promise<{ session: Session; transcript: string; summary: string }> {
  const lines: string[] = [];
  const note = (from: string, to: string, name: string, signed: Signed): Signed => {
    lines.push(canonicalJson({ from, to, name, signed }));
    return signed;
  };
  const session = new Session({ n: 5, dimension: 4, chunkBytes: 8, committedSigma: 20 }, 'tacit sample session 1');
  session.drops.set('client-005', 'upload');
  session.inputOf = (id) => Uint32Array.of(1, 10, 100, 1000).map((x) => x * Number(id.slice(-3)));
  session.toClient = ({ to, name, signed }) => note('server', to, name, signed);
  session.toServer = ({ to, name, signed }) => note(to, 'server', name, signed);
  await session.run();
  const words = (values: Uint32Array): string => `[${[...values].join(', ')}]`;
  const signed = (values: Uint32Array): string => `[${[...values].map((x) => x | 0).join(', ')}]`;
  const rows = ['client-001', 'client-002', 'client-003', 'client-004'].map((id) => {
    const client = session.clients.get(id);
    const upload = client?.masked;
    if (client === undefined || upload === undefined) throw new Error('every survivor uploads');
    const noise = client.components.map(({ key }, k) => {
      const values = signed((session.noises.get(id) as Uint32Array[])[k] as Uint32Array);
      return `            noise ${k} key ${hex(key)} = ${values}`;
    });
    return [
      `${id}  x = ${words(session.inputs.get(id) as Uint32Array)}`,
      ...noise,
      `            self mask key ${hex(client.streams[0]?.key as Uint8Array)}`,
      `            y = ${hex(littleEndianBytes(upload))}`,
    ].join('\n');
  });
  const { ladder } = session.server.group as NonNullable<typeof session.server.group>;
  const transcript = `${lines.join('\n')}\n`;
  const summary = [
    `H(M0)       ${session.server.session}`,
    `sid         ${session.server.group?.sidHex}`,
    `t, n_min    ${session.config.threshold}, ${session.config.minimumCohort}`,
    `levels      ${ladder.levels.join(', ')}`,
    `sigma       ${ladder.sigmas.join(', ')}`,
    ...rows,
    `U3          ${session.survivors.join(', ')}`,
    `removed     noise 2 of each; left in the sum: sigma ${session.noise?.sigma}`,
    `sum         ${signed(session.accumulator)}`,
    `messages    ${lines.length}, ${transcript.length} bytes, SHA-256 ${sha256Hex(utf8(transcript))}`,
  ].join('\n');
  return { session, transcript, summary };
}

describe('docs/PROTOCOL.md', () => {
  test('its sample session is what the code does, byte for byte', async () => {
    const { session, transcript, summary } = await sample();
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
    // Without the two components that four survivors need, it is the sum of the vectors.
    const plain = session.expectedSum();
    expect(session.accumulator).toEqual(plain);
    for (const id of session.survivors)
      for (const noise of session.noises.get(id)?.slice(0, 2) ?? []) addTo(plain, noise, -1);
    expect(plain).toEqual(Uint32Array.of(10, 100, 1000, 10_000));
  });

  test.each([
    ['SecaggErrorCode', 'secagg'],
    ['ProtocolErrorCode', 'protocol'],
    ['PrivacyErrorCode', 'privacy'],
  ])('its tables of codes are the union %s, no more and no less', (union, area) => {
    const source = readFileSync(new URL(`../../../shared/${area}/errors.ts`, import.meta.url), 'utf8');
    const [, after = ''] = source.split(`export type ${union} =`);
    const codes = (after.split(';\n')[0]?.match(/'[A-Z_]+'/g) ?? []).map((code) => code.slice(1, -1));
    expect(codes.length).toBeGreaterThan(5);
    const tables = readFileSync(documentFile, 'utf8').match(/^\| `[A-Z_]+` \|/gm) ?? [];
    const prefix = /^(SECAGG|PRIVACY)_/;
    const own = prefix.exec(codes[0] as string)?.[0];
    const listed = tables.map((row) => row.slice(3, -3)).filter((code) => prefix.exec(code)?.[0] === own);
    expect(listed.sort()).toEqual(codes.sort());
  });
});
