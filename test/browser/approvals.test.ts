import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page, Request } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { approve } from '../../coordinator/budgets/budget-opening.ts';
import { base64, fromBase64 } from '../../shared/core/bytes.ts';
import { canonicalBytes, canonicalJson } from '../../shared/core/canonical.ts';
import { sha256Hex } from '../../shared/core/hash.ts';
import { systemRng } from '../../shared/core/rng.ts';
import type { BudgetOpening } from '../../shared/ledger/entries.ts';
import { openKeystore } from '../../shared/node/keystore.ts';
import { launchChromium } from '../support/chromium.ts';
import * as fixtures from './fixtures.ts';
import { type OpenPage, openPage, read, requirePages, soundness, tabTo } from './open-pages.ts';
import { OPERATOR_TOKEN, type PagesServer, servePages } from './pages-server.ts';

const run = promisify(execFile);
const PASSPHRASE = 'crocus battery 42';
const RAISE: BudgetOpening = {
  budget: fixtures.BUDGET,
  epsilon: '6',
  delta: '0.0001',
  revision: 1,
  purpose: 'find spam for a second year',
  legalBasis: 'consent of the organisations',
};

let browser: Browser;
let folder: string;
let server: PagesServer;
let open: OpenPage;
let sent: Request[] = [];

/** Key files of the officers in office, and of a third person who is not. */
const keyFile = (i: number): string => join(folder, `officer-${i}.json`);

beforeAll(async () => {
  requirePages();
  browser = await launchChromium();
  folder = await mkdtemp(join(tmpdir(), 'tacit-approvers-'));
  for (const i of [1, 2, 3]) await sealedAs(keyFile(i), new Uint8Array(32).fill(40 + i));
});
afterAll(() => browser.close());

afterEach(async () => {
  await open.page.context().close();
  await server.close();
});

/** The product's own key file, of a seed that the fixture's ledger knows. */
async function sealedAs(path: string, seed: Uint8Array): Promise<void> {
  let first = true;
  const bytes = (n: number): Uint8Array => {
    const chosen = first ? seed : systemRng.bytes(n);
    first = false;
    return chosen;
  };
  await openKeystore(path, { passphrase: PASSPHRASE, rng: { bytes } });
}

async function visit(): Promise<Page> {
  server = await servePages(requirePages());
  open = await openPage(browser, `${server.url}/runs.html`);
  sent = [];
  open.page.on('request', (request) => sent.push(request));
  return open.page;
}

const sound = async (name: string, expected: readonly RegExp[] = []): Promise<void> => {
  await soundness(open, name, expected);
  await open.page.setViewportSize({ width: 1200, height: 900 });
};
const posted = (): string[] => sent.filter((r) => r.url().endsWith('/approvals')).map((r) => r.postData() ?? '');

async function proposed(): Promise<Page> {
  const page = await visit();
  await page.getByRole('link', { name: 'Approvals of budgets and approvers' }).click();
  await page.getByText('Nothing is proposed.').waitFor();
  const form = page.getByRole('region', { name: 'Propose an opening or a raise' });
  for (const [label, value] of [
    ['Dataset', 'mail'],
    ['Period', '2026'],
    ['Whole ε', RAISE.epsilon],
    ['Whole δ', RAISE.delta],
    ['Purpose', RAISE.purpose],
    ['Legal basis', RAISE.legalBasis],
    ['Operator token', OPERATOR_TOKEN],
  ] as const)
    await form.getByLabel(label).fill(value);
  await form.getByRole('button', { name: 'Propose', exact: true }).click();
  await page.getByRole('heading', { name: 'Signatures: 0 of 2' }).waitFor();
  return page;
}

async function sign(page: Page, file: string, passphrase = PASSPHRASE): Promise<void> {
  await page.getByLabel('Your key file').setInputFiles(file);
  await page.getByLabel('Passphrase').fill(passphrase);
  await page.getByRole('button', { name: 'Sign and send the signature' }).click();
}

describe('signing in the page with a key file', () => {
  it('two approvers open a budget; of their keys nothing but the signature is sent', async () => {
    const page = await proposed();
    const shown = await page.getByRole('region', { name: 'The document as RFC 8785 text' }).textContent();
    expect(shown).toBe(canonicalJson(RAISE));
    await page.getByText(sha256Hex(canonicalBytes(RAISE))).waitFor();
    await sound('approvals-waiting');
    await sign(page, keyFile(1));
    await page.getByRole('heading', { name: 'Signatures: 1 of 2' }).waitFor();
    await page.getByText('verified on this device').waitFor();
    expect(await page.getByLabel('Passphrase').inputValue()).toBe('');
    expect(await page.getByLabel('Your key file').inputValue()).toBe('');
    await sign(page, keyFile(2));
    await page.getByText('The budget is open: ledger entry 11.').waitFor();
    await sound('approvals-accepted');
    const { entry } = await server.shown.ledger.entry(11);
    expect(entry).toMatchObject({
      kind: 'budget.open',
      opening: RAISE,
      approvals: [{ approver: 'officer 1' }, { approver: 'officer 2' }],
    });
    expect(posted()).toHaveLength(2);
    const { box } = JSON.parse(await readFile(keyFile(1), 'utf8')) as { box: string };
    const seed = base64(new Uint8Array(32).fill(41));
    for (const request of sent) {
      const all = `${request.url()} ${request.postData() ?? ''}`;
      for (const secret of [PASSPHRASE, seed, box]) expect(all).not.toContain(secret);
    }
    // The worker that held the key is gone.
    expect(page.workers()).toEqual([]);
  });

  it('the worker that signs is served under a policy that lets it connect to nothing', async () => {
    const page = await proposed();
    const scripts: string[] = [];
    page.on('response', (response) => {
      if (/\/assets\/sign-/.test(response.url())) scripts.push(response.headers()['content-security-policy'] ?? '');
    });
    await sign(page, keyFile(1));
    await page.getByRole('heading', { name: 'Signatures: 1 of 2' }).waitFor();
    expect(scripts).toEqual(["default-src 'none'; script-src 'self'"]);
    const source = await page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .map((e) => e.name)
        .find((name) => name.includes('/assets/sign-')),
    );
    // One that is kept alive, to try it from inside.
    const started = page.waitForEvent('worker');
    await page.evaluate((url) => {
      (globalThis as unknown as { kept: Worker }).kept = new Worker(url as string, { type: 'module' });
    }, source);
    const tried = (await started).evaluate(() =>
      fetch('/api/v1/about').then(
        () => 'connected',
        () => 'refused',
      ),
    );
    expect(await tried).toBe('refused');
    expect(await page.evaluate(() => fetch('/api/v1/about').then((r) => r.status))).toBe(200);
  });

  it.each<[string, () => Promise<string>, string, RegExp]>([
    [
      'a wrong passphrase',
      async () => keyFile(1),
      'crocus battery 43',
      /does not open with this passphrase.*PASSPHRASE_WRONG/,
    ],
    [
      'the wrong person',
      async () => keyFile(3),
      PASSPHRASE,
      /it is not an approver’s.*In office: officer 1, officer 2/,
    ],
    [
      'a file that is no key',
      () => written('{"name":"officer 1"}'),
      PASSPHRASE,
      /This is not a key file.*KEY_FILE_UNREADABLE/,
    ],
    [
      'a key without a passphrase',
      machineKey,
      PASSPHRASE,
      /sealed to the machine that made it.*KEY_WITHOUT_PASSPHRASE/,
    ],
  ])('%s is told in words, and nothing is sent', async (name, file, passphrase, words) => {
    const page = await proposed();
    await sign(page, await file(), passphrase);
    await page.getByText(words).waitFor();
    await page.getByRole('heading', { name: 'Signatures: 0 of 2' }).waitFor();
    expect(posted()).toEqual([]);
    if (name === 'the wrong person') await sound('approvals-wrong-person');
  });

  it('who has signed already, and a proposal that expired meanwhile, are told in words', async () => {
    const page = await proposed();
    await sign(page, keyFile(1));
    await page.getByRole('heading', { name: 'Signatures: 1 of 2' }).waitFor();
    await sign(page, keyFile(1));
    await page.getByText(/officer 1 has signed this already\..*APPROVAL_DUPLICATE/).waitFor();
    expect(posted()).toHaveLength(1);
    server.shown.now += 31 * 86_400_000;
    await sign(page, keyFile(2));
    await page.getByText(/PROPOSAL_EXPIRED/).waitFor();
    await page.getByText('Nobody completed it in time.').waitFor();
    expect(await page.getByLabel('Your key file').count()).toBe(0);
    await sound('approvals-expired', [/409/]);
  });

  it('can be done with the keyboard alone', async () => {
    const page = await proposed();
    await page.keyboard.press('Home');
    await page.locator('#main').focus();
    await tabTo(page, 'key');
    const chooser = page.waitForEvent('filechooser');
    await page.keyboard.press('Space');
    await (await chooser).setFiles(keyFile(1));
    await tabTo(page, 'passphrase');
    await page.keyboard.type(PASSPHRASE);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Signatures: 1 of 2' }).waitFor();
    await tabTo(page, 'Withdraw this proposal');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    expect(open.complaints).toEqual([]);
  });

  async function written(text: string): Promise<string> {
    const path = join(folder, 'something.json');
    await writeFile(path, text);
    return path;
  }

  async function machineKey(): Promise<string> {
    const path = join(await mkdtemp(join(tmpdir(), 'tacit-machine-')), 'key.json');
    await openKeystore(path, { passphrase: undefined, rng: systemRng });
    return path;
  }
});

describe('approvals made on another machine', () => {
  const fileOf = (value: unknown) => ({
    name: 'approval.json',
    mimeType: 'application/json',
    buffer: Buffer.from(JSON.stringify(value)),
  });
  const approvalOf = (i: number, opening: BudgetOpening = RAISE) =>
    fileOf(approve(opening, `officer ${i}`, fixtures.approverOf(i)));

  it('are chosen or pasted, and open the budget', async () => {
    const page = await proposed();
    await page.getByText('Sign on another machine instead').click();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download the document' }).click();
    expect(JSON.parse(await read(await (await download).createReadStream()))).toEqual(RAISE);
    await sound('approvals-elsewhere');
    await page.getByLabel('Choose the approval file').setInputFiles(approvalOf(1));
    await page.getByRole('heading', { name: 'Signatures: 1 of 2' }).waitFor();
    await page.getByText('Paste it instead').click();
    await page.getByLabel('The approval', { exact: true }).fill(approvalOf(2).buffer.toString());
    await page.getByRole('button', { name: 'Add this signature' }).click();
    await page.getByText('The budget is open: ledger entry 11.').waitFor();
  });

  it('a key, or what is not a signature of this document, is never sent; a refusal is told; a proposal withdrawn', async () => {
    const page = await proposed();
    await page.getByText('Sign on another machine instead').click();
    const choose = page.getByLabel('Choose the approval file');
    await choose.setInputFiles(keyFile(1));
    await page.getByText('This is a key, not an approval. It was not sent anywhere.').waitFor();
    await choose.setInputFiles(approvalOf(1, { ...RAISE, epsilon: '60' }));
    await page.getByText('The signature is not of this document, so it was not sent.').waitFor();
    expect(posted()).toEqual([]);
    await sound('approvals-wrong');
    await choose.setInputFiles(approvalOf(3));
    await page.getByText(/APPROVER_NOT_IN_OFFICE/).waitFor();
    await choose.setInputFiles(approvalOf(1));
    await page.getByRole('heading', { name: 'Signatures: 1 of 2' }).waitFor();
    await choose.setInputFiles(approvalOf(1));
    await page.getByText(/APPROVAL_DUPLICATE/).waitFor();
    await sound('approvals-duplicate', [/403|409/]);
    await page.getByRole('button', { name: 'Withdraw this proposal' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Operator token').fill(OPERATOR_TOKEN);
    await dialog.getByRole('button', { name: 'Withdraw' }).click();
    await page.getByText('Nothing is proposed.').waitFor();
  });
});

describe('changing the approvers on the page', () => {
  it('a person with a key of the command line joins when two in office have signed, and can sign then', async () => {
    const key = join(folder, 'third.json');
    const tacit = join(import.meta.dirname, '..', '..', 'bin', 'tacit.js');
    const env = { ...process.env, TACIT_KEY_PASSPHRASE: PASSPHRASE };
    const { stdout } = await run(process.execPath, [tacit, 'approver', 'key', '--name', 'Third', '--key', key], {
      env,
    });
    const third = JSON.parse(stdout) as { name: string; publicKey: string };
    expect(fromBase64(third.publicKey)).toHaveLength(32);
    await writeFile(join(folder, 'third.pub.json'), stdout);
    const page = await visit();
    await page.getByRole('link', { name: 'Approvals of budgets and approvers' }).click();
    await page.getByText('Nothing is proposed.').waitFor();
    await sound('approvals-none');
    const form = page.getByRole('region', { name: 'Propose other approvers' });
    expect(await form.getByRole('button', { name: 'Propose this list' }).isDisabled()).toBe(true);
    await form.getByLabel('Public keys of those who join').setInputFiles(keyFile(1));
    await form.getByText('officer-1.json is not a public key with a name.').waitFor();
    await form.getByLabel('Public keys of those who join').setInputFiles(join(folder, 'third.pub.json'));
    await form.getByText(third.publicKey).waitFor();
    await form.getByLabel('officer 2').check();
    await sound('approvers-form');
    await form.getByLabel('Operator token').fill(OPERATOR_TOKEN);
    await form.getByRole('button', { name: 'Propose this list' }).click();
    const card = page.getByRole('region', { name: 'Approvers: officer 1, Third' });
    await card.getByRole('heading', { name: 'Signatures: 0 of 2' }).waitFor();
    expect(await card.locator('dl').textContent()).toMatch(/Joins\s*Third\s*Leaves\s*officer 2/);
    await sound('approvers-waiting');
    await sign(page, key);
    await page.getByText(/it is not an approver’s/).waitFor();
    await sign(page, keyFile(1));
    await card.getByRole('heading', { name: 'Signatures: 1 of 2' }).waitFor();
    await sign(page, keyFile(2));
    await page.getByText('The new approvers are in office: ledger entry 11.').waitFor();
    expect((await server.shown.ledger.entry(11)).entry).toMatchObject({
      kind: 'roster.update',
      approvers: [{ name: 'officer 1' }, third],
    });
    await sound('approvers-accepted');
  });
});
