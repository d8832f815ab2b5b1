import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { EXIT } from '../../../shared/node/exit-codes.ts';
import { useOpensslCrypto } from '../../../shared/node/native-crypto.ts';
import { createMemoryStore } from '../../../shared/store/memory.ts';
import { startTestCoordinator } from '../../support/federation.ts';
import { type Case, type CaseResult, runCases } from './case.ts';
import { CLIENT_CASES } from './client-cases.ts';
import { ClientLab, type ClientUnderTest } from './client-lab.ts';
import { HELLO_CASES } from './hello-cases.ts';
import { Seat } from './seat.ts';
import { SERVER_CASES } from './server-cases.ts';
import { conformancePlan, ServerLab } from './server-lab.ts';

const USAGE = `npm run conformance:secagg -- server URL --token TOKEN [--model DIR --head mean|pooler]
       npm run conformance:secagg -- client [--port PORT] [--exec "COMMAND with {link} {data} {policy} {state}"]
       npm run conformance:secagg -- self
       all: [--only PART-OF-NAME] [--patience SECONDS] [--json]`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    token: { type: 'string' },
    model: { type: 'string' },
    head: { type: 'string' },
    port: { type: 'string', default: '0' },
    exec: { type: 'string' },
    only: { type: 'string', default: '' },
    patience: { type: 'string', default: '20' },
    json: { type: 'boolean', default: false },
  },
});
const patienceMs = 1000 * Number(values.patience);
const timeoutMs = 120_000;
let failed = 0;

async function report<Lab>(cases: readonly Case<Lab>[], lab: Lab): Promise<void> {
  const chosen = cases.filter(({ name }) => name.includes(values.only));
  for await (const result of runCases(chosen, lab)) {
    if (!result.passed) failed++;
    const code = (cases.find(({ name }) => name === result.name) as { code?: string }).code;
    console.log(
      values.json ? JSON.stringify({ ...result, ...(code === undefined ? {} : { code }) }) : inWords(result, code),
    );
  }
}

function inWords({ name, what, expected, got, passed }: CaseResult, code: string | undefined): string {
  const refusal = code === undefined ? '' : ` (${code})`;
  if (passed) return `PASS ${name}: ${what}: ${got}${refusal}`;
  return `FAIL ${name}: ${what}\n     expected ${expected}${refusal}\n     got      ${got}`;
}

async function server(url: string, operatorToken: string): Promise<void> {
  const plan = conformancePlan(values.model, values.head);
  await report([...HELLO_CASES, ...SERVER_CASES], new ServerLab({ url, operatorToken, plan, timeoutMs }));
}

async function client(underTest: ClientUnderTest): Promise<void> {
  const lab = await ClientLab.start({ client: underTest, patienceMs, timeoutMs, port: Number(values.port) });
  await report(CLIENT_CASES, lab);
  await lab.close();
}

/** One process for each case, with a state directory of its own. */
async function spawned(command: string, link: string): Promise<{ stop(): Promise<void> }> {
  const dir = mkdtempSync(join(tmpdir(), 'secagg-conformance-'));
  const data = join(dir, 'data.jsonl');
  const policy = join(dir, 'policy.json');
  writeFileSync(data, '{"text":"none","label":"none"}\n{"text":"some","label":"some"}\n');
  writeFileSync(policy, JSON.stringify(Seat.policy));
  const words: Record<string, string> = { link: `"${link}"`, data, policy, state: join(dir, 'state') };
  const line = command.replace(/\{(\w+)\}/g, (all, word: string) => words[word] ?? all);
  // A group of its own, so that what the shell started ends with it.
  const child = spawn(line, { shell: true, detached: true, stdio: ['ignore', 'ignore', 'inherit'] });
  return { stop: () => ended(child).finally(() => rmSync(dir, { recursive: true, force: true })) };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  process.kill(-child.pid, 'SIGKILL');
  await exit;
}

const byHand: ClientUnderTest = async (link) => {
  console.error(`connect a client that has no state yet: ${link}`);
  return { stop: async () => undefined };
};

const ownClient: ClientUnderTest = async (link) => {
  const seat = new Seat(5);
  seat.join(link);
  return seat;
};

useOpensslCrypto();
const [side, url] = positionals;
if (side === 'server' && url !== undefined && values.token !== undefined)
  await server(url.replace(/\/$/, ''), values.token);
else if (side === 'client') {
  const { exec } = values;
  await client(exec === undefined ? byHand : (link) => spawned(exec, link));
} else if (side === 'self') {
  const site = await startTestCoordinator({ store: createMemoryStore() });
  await server(site.url, 'operator');
  await site.close();
  await client(ownClient);
} else {
  console.error(`usage: ${USAGE}`);
  process.exit(EXIT.configuration);
}
if (!values.json) console.log(failed === 0 ? 'everything holds' : `${failed} case(s) failed`);
process.exit(failed === 0 ? EXIT.ok : EXIT.verificationFailed);
