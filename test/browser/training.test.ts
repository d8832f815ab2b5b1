import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync, zipSync } from 'fflate';
import type { Browser, Download, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../support/chromium.ts';
import { createTestRun, jsonLines, madeUpMail, planText, startParticipant } from '../support/federation.ts';
import { sharedSite } from '../support/shared-site.ts';
import { axeProblems, openPage, requirePages, screenshot } from './open-pages.ts';

let browser: Browser;
const site = sharedSite(20);
const { participants } = site;

beforeAll(async () => {
  requirePages();
  browser = await launchChromium();
});
afterAll(() => browser.close());

/** The command line's own verify and reconcile accept what the browser saved, and refuse it once a byte is changed. */
async function reconciles(saved: Download, run: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tacit-browser-ledger-'));
  const zip = join(dir, saved.suggestedFilename());
  await saved.saveAs(zip);
  const verified = await tacit('ledger', 'verify', zip);
  expect(verified).toMatchObject({ code: 0, out: expect.stringMatching(/^tacit\.client\/[0-9a-f]{32}: \d+ entries/) });
  const both = await tacit('ledger', 'reconcile', `${site.url}/ledger`, '--site', zip);
  expect(both).toMatchObject({ code: 0, out: expect.stringContaining(`run        ${run}`) });
  expect(both.out).toContain('they agree');
  const files = unzipSync(await readFile(zip));
  const name = Object.keys(files).find((path) => path.startsWith('tile/entries/')) as string;
  const text = Buffer.from(files[name] as Uint8Array).toString('latin1');
  files[name] = Buffer.from(text.replace('"epsilon":"', '"epsilon":"9'), 'latin1');
  await writeFile(zip, zipSync(files));
  expect(await tacit('ledger', 'verify', zip)).toMatchObject({ code: 4 });
}

function tacit(...args: string[]): Promise<{ code: number; out: string }> {
  const bin = join(import.meta.dirname, '..', '..', 'bin', 'tacit.js');
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), out: `${stdout}${stderr}` }),
    );
  });
}

/** Thirty made-up mails as a CSV file with this header. */
async function chooseMail(page: Page, header: string): Promise<void> {
  const rows = madeUpMail(30, 9000).map(({ text, label }) => `"${text}",${label}`);
  const buffer = Buffer.from([header, ...rows].join('\n'));
  await page.getByLabel('Choose files').setInputFiles({ name: 'mail.csv', mimeType: 'text/csv', buffer });
}

test('a browser trains in masked rounds with five Node clients, from the link to the verified ledger', async () => {
  const run = await createTestRun(site.coordinator, {
    rounds: 4,
    loraRounds: 1,
    minimum: 6,
    phase: '60s',
    ringBits: 20,
    training: '240s',
    join: '240s',
  });
  for (const index of [1, 2, 3, 4, 5]) participants.push(startParticipant({ link: run.link, index }));
  const { page, complaints } = await openPage(browser, run.link);
  page.setDefaultTimeout(240_000);
  const workers: string[] = [];
  page.on('worker', (worker) => workers.push(worker.url()));
  await page.getByText('matches your invitation').waitFor();
  await page.getByLabel('Your name or organisation').fill('A browser');
  await page.getByRole('button', { name: 'Connect' }).click();
  await chooseMail(page, 'body,class');
  await page.getByText('No column text, label; the file has body, class.').waitFor();
  await page.getByRole('button', { name: 'Read again' }).click();
  await page.getByText('30 texts').first().waitFor();
  await screenshot(page, 'training-consent');
  await page.getByRole('checkbox', { name: /I may use this data/ }).check();
  await page.getByRole('button', { name: 'I consent' }).click();
  await page.getByText('Accuracy now').waitFor();
  await page.getByText(/verified on this device to entry \d+/).waitFor();
  const ended = site.coordinator.run(run.id);
  expect([ended?.state, ended?.reason]).toEqual(['finished', null]);
  await page.getByRole('heading', { name: 'Your own ledger' }).waitFor();
  const own = page.getByRole('table', { name: 'What trainings were charged to your data' });
  expect(await own.getByRole('row').last().textContent()).toMatch(/charged\s*5\s*\d+/);
  await screenshot(page, 'training-done');
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download my ledger (.zip)' }).click();
  await reconciles(await saved, run.id);
  const view = site.coordinator.run(run.id);
  expect(view?.state).toBe('finished');
  const mine = view?.participants.find((p) => p.organisation === 'A browser');
  console.log(`the browser computed with ${mine?.engine}`);
  expect(mine).toMatchObject({
    state: 'consented',
    records: 30,
    engine: expect.stringMatching(/^tfjs (wasm|webgl|webgpu)$/),
  });
  const released = site.coordinator.rounds(run.id).filter((r) => r.phase === 'done');
  expect(released.map((r) => r.funnel.survived)).toEqual([6, 6, 6, 6, 6]);
  // The page's own thread has fetched no engine, so what was computed was computed in a worker.
  expect(workers.length).toBeGreaterThan(0);
  const fetched = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name));
  expect(fetched.length).toBeGreaterThan(0);
  expect(fetched.filter((name) => /tfjs|tensorflow|\.wasm/i.test(name))).toEqual([]);
  expect(complaints).toEqual([]);
}, 400_000);

test('the training worker dies in the middle of a round: another one goes on as the same participant, and nothing counts twice', async () => {
  const run = await createTestRun(site.coordinator, { rounds: 8 });
  for (const index of [21, 22, 23, 24]) participants.push(startParticipant({ link: run.link, index }));
  const { page } = await openPage(browser, run.link);
  page.setDefaultTimeout(90_000);
  await page.getByLabel('Your name or organisation').fill('A browser whose worker dies');
  await page.getByRole('button', { name: 'Connect' }).click();
  await chooseMail(page, 'text,label');
  await page.getByRole('checkbox', { name: /I may use this data/ }).check();
  await page.getByRole('button', { name: 'I consent' }).click();
  await page.getByText(/^Round 2 of 8/).waitFor();
  const before = await identityOf(page);
  const engine = () =>
    page.evaluate(
      () =>
        (document.querySelector('tacit-participant') as unknown as { state: { engine: { name: string } | null } }).state
          .engine?.name,
    );
  const first = await engine();
  await page.evaluate(() =>
    (document.querySelector('tacit-participant') as unknown as { worker: { terminate(): void } }).worker.terminate(),
  );
  await page.getByText('The training worker stopped and was started again.').waitFor();
  await screenshot(page, 'training-worker-died');
  await page.getByText('Accuracy now').waitFor();
  expect(await identityOf(page)).toBe(before);
  const mine = site.coordinator
    .run(run.id)
    ?.participants.filter((p) => p.organisation === 'A browser whose worker dies');
  expect(mine).toHaveLength(1);
  const second = await engine();
  console.log(`it computed with ${first}, after the death with ${second}`);
  expect(first).toMatch(/^tfjs /);
  expect(second).toMatch(/^tfjs /);
  expect(second).not.toBe(first);
  const released = site.coordinator.rounds(run.id).filter((r) => r.phase === 'done');
  expect(released.map((r) => r.round)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  for (const { funnel } of released) expect(funnel.uploaded).toBeLessThanOrEqual(5);
  expect(released.at(-1)?.funnel.survived).toBe(5);
}, 180_000);

test('the compliance page verifies what that run left', async () => {
  const { page, complaints } = await openPage(browser, `${site.url}/compliance.html#entry=4`);
  await expect
    .poll(() => page.locator('#answer-title').textContent(), { timeout: 20_000 })
    .toMatch(/inside policy; the ledger is verified to entry \d+ on this device/);
  await page.getByRole('button', { name: 'Verify' }).click();
  await page.getByText('verified on this device', { exact: true }).waitFor();
  await screenshot(page, 'training-compliance');
  expect(complaints).toEqual([]);
});

/** The client id that the first step shows, folded away or not. */
function identityOf(page: Page): Promise<string> {
  return page.evaluate(() => [...document.querySelectorAll('#who dd .hash')].at(-1)?.textContent ?? '');
}

test('a browser pauses, goes on, is reloaded, and is still the same participant', async () => {
  const run = await createTestRun(site.coordinator, { rounds: 10 });
  // Four and the browser: without it the run waits, so nothing is over before it is back.
  for (const index of [11, 12, 13, 14]) participants.push(startParticipant({ link: run.link, index }));
  const { page } = await openPage(browser, run.link);
  page.setDefaultTimeout(60_000);
  await page.getByLabel('Your name or organisation').fill('Another browser');
  await page.getByRole('button', { name: 'Connect' }).click();
  await chooseMail(page, 'text,label');
  await page.getByRole('checkbox', { name: /I may use this data/ }).check();
  await page.getByRole('button', { name: 'I consent' }).click();
  await page.getByText(/^Round \d+ of 10/).waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByText('Paused: this device sits out').waitFor();
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('button', { name: 'Pause' }).waitFor();
  const before = await identityOf(page);
  expect(before).toMatch(/^[0-9a-f]{32}$/);
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await page.getByLabel('Your name or organisation').fill('Another browser');
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.getByText('You consented earlier in this browser.').waitFor();
  await chooseMail(page, 'text,label');
  await page.getByText('Accuracy now').waitFor();
  expect(site.coordinator.run(run.id)?.participants.filter((p) => p.organisation === 'Another browser')).toHaveLength(
    1,
  );
  expect(await identityOf(page)).toBe(before);
}, 120_000);

test('a browser changes its key and stays the same participant; then it takes its consent back, and later rounds are without it', async () => {
  const run = await createTestRun(site.coordinator, {
    rounds: 200,
    minimum: 6,
    training: '240s',
    join: '240s',
    every: 200,
  });
  for (const index of [41, 42, 43, 44, 45]) participants.push(startParticipant({ link: run.link, index }));
  const { page, complaints } = await openPage(browser, run.link);
  page.setDefaultTimeout(120_000);
  page.on('dialog', (dialog) => void dialog.accept());
  const leave = async (withdraw: boolean): Promise<void> => {
    await page.getByRole('button', { name: 'Leave' }).first().click();
    const dialog = page.getByRole('dialog');
    if (withdraw) await dialog.getByRole('checkbox', { name: /Withdraw my consent/ }).check();
    expect(await axeProblems(page)).toEqual([]);
    await dialog.getByRole('button', { name: 'Leave' }).click();
  };
  const connect = async (): Promise<void> => {
    await page.getByLabel('Your name or organisation').fill('A browser that changes');
    await page.getByRole('button', { name: 'Connect' }).click();
  };
  await connect();
  await chooseMail(page, 'text,label');
  await page.getByRole('checkbox', { name: /I may use this data/ }).check();
  await page.getByRole('button', { name: 'I consent' }).click();
  await page.getByText(/^Round 2 of 200/).waitFor();
  const id = await identityOf(page);
  await leave(false);
  await page.getByText('You left.').waitFor();
  await page.getByRole('button', { name: 'Change this browser’s key' }).click();
  await page.getByText('This browser has another key; the old one is gone.', { exact: false }).waitFor();
  expect(await axeProblems(page)).toEqual([]);
  await screenshot(page, 'training-key-changed');

  const mine = () =>
    site.coordinator.run(run.id)?.participants.filter((p) => p.organisation === 'A browser that changes');
  await page.reload();
  await connect();
  await page.getByText('You consented earlier in this browser.').waitFor();
  await chooseMail(page, 'text,label');
  await page.getByText(/^Round \d+ of 200/).waitFor();
  await page.getByText(/^Last: \d+ texts/).waitFor();
  expect(await identityOf(page)).toBe(id);
  expect(mine()).toMatchObject([{ clientId: id, state: 'consented', connected: true }]);
  const { ledger } = site.coordinator;
  const entriesOf = async (kind: string) =>
    (await ledger.entries(0)).map(({ entry }) => entry).filter((e) => e.kind === kind);
  expect(await entriesOf('key.rotate')).toMatchObject([{ change: { name: `tacit.client/${id}` } }]);

  await leave(true);
  await page.getByText('Your consent is withdrawn.').waitFor();
  expect(await axeProblems(page)).toEqual([]);
  await screenshot(page, 'training-withdrawn');
  expect(mine()).toMatchObject([{ clientId: id, state: 'withdrawn' }]);
  expect(await entriesOf('refusal')).toMatchObject([{ by: id, code: 'CONSENT_WITHDRAWN' }]);
  const own = page.getByRole('table', { name: 'What trainings were charged to your data' });
  expect(await own.getByRole('row').last().textContent()).toContain('charged');

  await page.reload();
  await connect();
  await page.getByText('Your consent is withdrawn.').waitFor();
  await site.coordinator.stopRun(run.id, 'the test is over');
  expect(complaints).toEqual([]);
}, 400_000);

test('the operator starts a run from files, invites by a link, and stops it, from the page alone', async () => {
  const { page, complaints } = await openPage(browser, `${site.url}/runs.html`);
  page.setDefaultTimeout(60_000);
  const file = (name: string, bytes: Uint8Array) => ({ name, mimeType: 'text/plain', buffer: Buffer.from(bytes) });
  await page.getByText('Start a run', { exact: true }).click();
  const start = async (plan: string): Promise<void> => {
    await page.getByLabel('Plan', { exact: true }).setInputFiles(file('plan.yaml', Buffer.from(plan)));
    await page.getByLabel('Validation texts').setInputFiles(file('validation.jsonl', jsonLines(madeUpMail(20, 0))));
    await page.getByLabel('Test texts').setInputFiles(file('test.jsonl', jsonLines(madeUpMail(20, 50))));
    await page.getByLabel('Operator token').fill('operator');
    await page.getByRole('button', { name: 'Start the run' }).click();
  };
  await start(planText({ epsilon: 300 }));
  await page.getByText(/BUDGET_EXCEEDED/).waitFor();
  await start(planText({ rounds: 3 }).replace('name: test-mail', 'name: from-the-page'));
  await page.getByRole('heading', { name: 'from-the-page' }).waitFor();
  await page.getByRole('button', { name: 'Make a link' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Organisation').fill('North clinic');
  await dialog.getByLabel('Operator token').fill('operator');
  expect(await axeProblems(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Make the link' }).click();
  const link = await page.getByLabel('Link for one participant').inputValue();
  expect(await axeProblems(page)).toEqual([]);
  await screenshot(page, 'training-invited');
  const run = /run=([^&]+)/.exec(new URL(page.url()).hash)?.[1] as string;
  const invited = startParticipant({ link, index: 61, organisation: 'says another name' });
  participants.push(invited);
  await page
    .getByRole('row', { name: /North clinic/ })
    .getByText('consented')
    .waitFor();
  expect(site.coordinator.run(run)?.participants).toMatchObject([{ organisation: 'North clinic' }]);
  await page.getByRole('button', { name: 'Stop this run' }).click();
  await page.getByRole('dialog').getByLabel('Operator token').fill('operator');
  await page.getByRole('button', { name: 'Stop the run' }).click();
  await page.getByText('stopped', { exact: true }).waitFor();
  expect(complaints.filter((c) => !/40\d|422/.test(c))).toEqual([]);
}, 120_000);
