import { unzipSync } from 'fflate';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { decimal } from '../../shared/ledger/decimal.ts';
import { verifyBundle } from '../../shared/ledger/verify.ts';
import { recomputeCertificate } from '../../shared/protocol/recompute.ts';
import { launchChromium } from '../support/chromium.ts';
import * as fixtures from './fixtures.ts';
import {
  axeProblems,
  bytesOf,
  keep,
  type OpenPage,
  openPage,
  read,
  requirePages,
  screenshot,
  soundness,
  tabTo,
} from './open-pages.ts';
import { OPERATOR_TOKEN, type PagesServer, servePages } from './pages-server.ts';
import { SCRIPTS, type Script } from './participant-states.ts';

let browser: Browser;
let server: PagesServer;
let open: OpenPage | undefined;

beforeAll(async () => {
  requirePages();
  browser = await launchChromium();
});
afterAll(() => browser.close());

afterEach(async () => {
  await open?.page.context().close();
  open = undefined;
  await server.close();
});

async function visit(
  path: string,
  prepare: (server: PagesServer) => void | Promise<void> = () => {},
  options = {},
): Promise<Page> {
  server = await servePages(requirePages());
  await prepare(server);
  open = await openPage(browser, server.url + path, options);
  return open.page;
}

const expectSound = (name: string, expectedComplaints: readonly RegExp[] = []): Promise<void> =>
  soundness(open as OpenPage, name, expectedComplaints);

const heading = (page: Page, name: string) => page.getByRole('heading', { name, exact: true });

describe('participant page', () => {
  const CSV = { name: 'mail.csv', mimeType: 'text/csv', buffer: Buffer.from('text,label\nhello,ham\n') };

  async function walk(script: Script, to: 'connect' | 'data' | 'consent'): Promise<Page> {
    const page = await visit(`/${fixtures.JOIN}`, (s) => {
      s.shown.script = script;
    });
    await page.getByLabel('Your name or organisation').fill('Harbour Bank');
    await page.getByRole('button', { name: 'Connect' }).click();
    if (to === 'connect') return page;
    await page.getByLabel('Choose files').setInputFiles(CSV);
    if (to === 'data') return page;
    await page.getByRole('checkbox', { name: /I may use this data/ }).check();
    await page.getByRole('button', { name: 'I consent' }).click();
    return page;
  }

  it('asks for an invitation when there is none', async () => {
    const page = await visit('/');
    await page.getByLabel('Invitation link').waitFor();
    await expectSound('participant-no-link');
  });

  it('shows who asks, with the key computed from what the coordinator shows', async () => {
    const page = await visit(`/${fixtures.JOIN}`);
    await page.getByText('matches your invitation').waitFor();
    await page.getByText(fixtures.ABOUT.name).first().waitFor();
    await expectSound('participant-who');
  });

  it('says when the key is not the one in the invitation', async () => {
    const page = await visit(`/#join=${fixtures.TOKEN}.0000-1111-2222-3333`);
    await page.getByText('does not match your invitation').waitFor();
    await expectSound('participant-wrong-key');
  });

  it('says when the coordinator is gone, and goes on when it is back', async () => {
    const page = await visit(`/${fixtures.JOIN}`, (s) => {
      s.shown.down = true;
    });
    await page.getByText('The coordinator is not reachable.').waitFor();
    await expectSound('participant-gone', [/ERR_EMPTY_RESPONSE|Failed to load resource/]);
    server.shown.down = false;
    await page.getByText('matches your invitation').waitFor();
  });

  it('shows the task and asks for data once connected', async () => {
    const page = await walk(SCRIPTS.invited, 'connect');
    await heading(page, 'Your data').waitFor();
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('data');
    await page.getByText('What was tried on this device').click();
    await expectSound('participant-data');
  });

  it('says when no graphics processor is used', async () => {
    const page = await walk(SCRIPTS.noWebgl, 'connect');
    await page.getByText('No graphics processor is used.').waitFor();
    await expectSound('participant-no-webgl');
  });

  it('asks which column is which when the columns are wrong', async () => {
    const page = await walk(SCRIPTS.wrongColumns, 'data');
    await page.getByText('These files cannot be used as they are.').waitFor();
    expect(await page.getByLabel('Column with the text').inputValue()).toBe('body');
    expect(await page.getByLabel('Column with the label').inputValue()).toBe('class');
    await expectSound('participant-wrong-columns');
  });

  it('shows data, what will be sent, and asks for consent', async () => {
    const page = await walk(SCRIPTS.ready, 'data');
    await heading(page, 'Your consent').waitFor();
    await page.getByText('Preview the first rows').click();
    expect(await page.getByLabel('Stop at ε').inputValue()).toBe('3');
    await expectSound('participant-consent');
  });

  it('says when the person’s own limits refuse the plan', async () => {
    const page = await walk(SCRIPTS.objection, 'consent');
    await page.getByText('Your own limits refuse this plan.').waitFor();
    await expectSound('participant-objection');
  });

  it('shows training as it goes, pauses and goes on', async () => {
    const page = await walk(SCRIPTS.live, 'consent');
    await page.getByText('Training on your data, on this device').waitFor();
    await expect.poll(() => page.title()).toBe('Round 5 of 68 · Tacit');
    await page.getByText('Show me the bytes').click();
    await expectSound('participant-live');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('Paused: this device sits out').waitFor();
    await page.getByRole('button', { name: 'Go on' }).waitFor();
  });

  it('offers the receipt and leaving', async () => {
    const page = await walk(SCRIPTS.live, 'consent');
    const download = page.waitForEvent('download');
    await heading(page, 'Your consent').click();
    await page.getByRole('button', { name: 'Download the signed receipt' }).click();
    expect((await download).suggestedFilename()).toBe('tacit-consent-receipt.json');
    await page.getByRole('button', { name: 'Leave' }).first().click();
    await expectSoundDialog(page);
    await page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
    await page.getByText('You left.').waitFor();
    await expectSound('participant-left');
  });

  async function expectSoundDialog(page: Page): Promise<void> {
    await page.getByRole('dialog').waitFor();
    expect(await axeProblems(page)).toEqual([]);
  }

  it.each([
    ['lost', 'The coordinator is not reachable.'],
    ['missed', 'Round 5 closed without you.'],
    ['cohortTooSmall', 'Too few participants are here.'],
    ['budgetExhausted', 'The privacy budget is used up.'],
  ] as const)('state %s: %s', async (state, words) => {
    const page = await walk(SCRIPTS[state], 'consent');
    await page.getByText(words).waitFor();
    await expectSound(`participant-${state}`);
  });

  it.each([
    ['tabOpen', 'This training is open in another tab.'],
    ['otherCoordinator', 'This is not the coordinator that your invitation names.'],
  ] as const)('state %s: %s', async (state, words) => {
    const page = await walk(SCRIPTS[state], 'connect');
    await page.getByText(words).waitFor();
    await expectSound(`participant-${state}`);
  });

  it('says what a tab in the background did', async () => {
    const page = await walk(SCRIPTS.live, 'consent');
    await page.getByText('Training on your data, on this device').waitFor();
    await page.evaluate(() => {
      let hidden = true;
      Object.defineProperty(document, 'hidden', { get: () => hidden });
      document.dispatchEvent(new Event('visibilitychange'));
      const start = performance.now();
      performance.now = () => start + 65_000;
      hidden = false;
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await page.getByText('This tab was in the background for 65 seconds.').waitFor();
    await expectSound('participant-hidden');
  });

  it('shows what it brought and cost, and forgets', async () => {
    const page = await walk(SCRIPTS.finished, 'consent');
    await page.getByText('Accuracy before').waitFor();
    await page.getByText('verified on this device to entry 23').waitFor();
    const own = page.getByRole('table', { name: 'What trainings were charged to your data' });
    expect(await own.getByRole('row').last().textContent()).toMatch(/charged\s*68\s*8/);
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download my ledger (.zip)' }).click();
    expect((await saved).suggestedFilename()).toBe('tacit-own-ledger.zip');
    expect(await bytesOf(await (await saved).createReadStream())).toEqual(Buffer.from([80, 75, 5, 6]));
    await expectSound('participant-done');
    await page.getByRole('button', { name: 'Delete what this browser keeps' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await page.getByText('This browser has forgotten you.').waitFor();
  });

  it('can be walked with the keyboard alone', async () => {
    const page = await visit(`/${fixtures.JOIN}`, (s) => {
      s.shown.script = SCRIPTS.live;
    });
    const focused = (): Promise<string> =>
      page.evaluate(() =>
        (
          document.activeElement?.textContent ||
          document.activeElement?.getAttribute('aria-label') ||
          document.activeElement?.id ||
          ''
        ).trim(),
      );
    await page.getByText('matches your invitation').waitFor();
    await page.keyboard.press('Tab');
    expect(await focused()).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
    await tabTo(page, 'organisation');
    await page.keyboard.type('Harbour Bank');
    await page.keyboard.press('Enter');
    await heading(page, 'Your data').waitFor();
    await tabTo(page, 'Choose files');
    const chooser = page.waitForEvent('filechooser');
    await page.keyboard.press('Space');
    await (await chooser).setFiles(CSV);
    await heading(page, 'Your consent').waitFor();
    await tabTo(page, 'agreed');
    await page.keyboard.press('Space');
    await tabTo(page, 'I consent');
    await page.keyboard.press('Enter');
    await page.getByText('Training on your data, on this device').waitFor();
    expect(open?.complaints).toEqual([]);
  });
});

describe('operator page', () => {
  it('lists the runs', async () => {
    const page = await visit('/runs.html', (s) => {
      s.shown.runs = [
        fixtures.run(),
        fixtures.run({
          id: 'run-2',
          name: 'mail-again',
          state: 'failed',
          reason: 'BUDGET_EXCEEDED: asked for 3, 1 is left',
          createdAt: '2026-03-01T09:00:00.000Z',
        }),
      ];
    });
    await page.getByRole('link', { name: 'mail-again' }).waitFor();
    await expectSound('operator-runs');
  });

  it('says how to start when there is no run', async () => {
    const page = await visit('/runs.html', (s) => {
      s.shown.runs = [];
    });
    await page.getByText('No run yet.').waitFor();
    await page.getByText('Start a run', { exact: true }).click();
    await page.getByLabel('Validation texts').waitFor();
    await expectSound('operator-empty');
  });

  it.each(['overview', 'rounds', 'metrics', 'system', 'models', 'events'])('shows a run: %s', async (tab) => {
    const page = await visit(`/runs.html#run=run-7f3a&tab=${tab}`);
    await page.getByRole('tab', { selected: true, name: new RegExp(tab, 'i') }).waitFor();
    await page.getByRole('tabpanel').locator('section, p').first().waitFor();
    await expectSound(`operator-${tab}`);
  });

  it('has a table for every chart', async () => {
    const page = await visit('/runs.html#run=run-7f3a&tab=metrics');
    const charts = page.getByRole('figure');
    await expect.poll(() => charts.count()).toBe(2);
    for (const chart of await charts.all()) {
      await chart.getByText('Show as a table').click();
      expect(await chart.getByRole('row').count()).toBe(6);
    }
  });

  it('shows why a run failed', async () => {
    const page = await visit('/runs.html#run=run-7f3a', (s) => {
      s.shown.runs = [
        fixtures.run({ state: 'failed', phase: null, reason: 'COHORT_TOO_SMALL: 3 uploads, 4 are needed' }),
      ];
    });
    await page.getByText('Too few participants are here.').waitFor();
    await expectSound('operator-failed');
  });

  it('moves between tabs with the arrow keys and keeps them in the address', async () => {
    const page = await visit('/runs.html#run=run-7f3a');
    await page.getByRole('tab', { name: 'Overview' }).focus();
    await page.keyboard.press('ArrowRight');
    await page.getByRole('tab', { name: 'Rounds', selected: true }).waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('tab-rounds');
    expect(new URL(page.url()).hash).toBe('#run=run-7f3a&tab=rounds');
    await page.keyboard.press('End');
    await page.getByRole('tab', { name: 'Events', selected: true }).waitFor();
  });

  it('follows the run as it happens', async () => {
    const page = await visit('/runs.html#run=run-7f3a&tab=events');
    await page.getByText('Nothing has happened yet.').waitFor();
    await expect.poll(() => server.asked.some((a) => a.path === '/api/v1/events')).toBe(true);
    server.push({
      kind: 'log',
      at: '2026-03-02T09:09:00.000Z',
      level: 'warn',
      text: 'round 43: one participant dropped out, recovered',
    });
    await page.getByText('one participant dropped out, recovered').waitFor();
    server.push({ kind: 'run', run: fixtures.run({ round: 44 }) });
    await page.getByText('Round 44 of 68').waitFor();
  });

  it('stops a run only with the operator’s token', async () => {
    const page = await visit('/runs.html#run=run-7f3a');
    await page.getByRole('button', { name: 'Stop this run' }).click();
    await page.getByRole('dialog').getByLabel('Operator token').fill('wrong');
    await page.getByRole('button', { name: 'Stop the run' }).click();
    await page.getByText('The operator token was not accepted.').waitFor();
    await expectSound('operator-unauthorised', [/401/]);
    await page.setViewportSize({ width: 1200, height: 900 });
    await page.getByRole('button', { name: 'Stop this run' }).click();
    await page.getByRole('dialog').getByLabel('Operator token').fill(OPERATOR_TOKEN);
    await page.keyboard.press('Enter');
    await page.getByText('stopped', { exact: true }).waitFor();
    expect(server.shown.runs[0]?.state).toBe('stopped');
  });

  it('promotes a model and tries a prediction', async () => {
    const page = await visit('/runs.html#run=run-7f3a&tab=models');
    await page.getByRole('button', { name: 'Promote model-40' }).click();
    const dialog = page.getByRole('dialog', { name: 'Put model-40 into use?' });
    await dialog.getByLabel('Operator token').fill(OPERATOR_TOKEN);
    await dialog.getByRole('button', { name: 'Promote' }).click();
    await page.getByText('A text for model-40').waitFor();
    await page.getByLabel('A text for model-40').fill('You have won');
    await page.getByRole('button', { name: 'Predict' }).click();
    await page.getByText('96.6 %').waitFor();
    await expectSound('operator-predicted');
  });
});

describe('compliance page', () => {
  const answer = (page: Page) => page.locator('#answer-title');

  it('answers first: inside policy, verified on this device', async () => {
    const page = await visit('/compliance.html');
    await expect
      .poll(() => answer(page).textContent())
      .toBe('The one dataset is inside policy; the ledger is verified to entry 10 on this device');
    await page.getByText('Every entry about this budget').click();
    await expectSound('compliance-good');
  });

  it('does not load TensorFlow.js', async () => {
    const page = await visit('/compliance.html');
    await expect.poll(() => answer(page).textContent()).toContain('verified');
    const bytes = await page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .reduce((n, e) => n + (e as PerformanceResourceTiming).decodedBodySize, 0),
    );
    expect(bytes).toBeLessThan(600_000);
  });

  it('names an entry that was changed', async () => {
    const page = await visit('/compliance.html', (s) => changeEntries(s));
    await expect.poll(() => answer(page).textContent()).toMatch(/problems? found/);
    await page.getByText(/an entry was changed, removed or put in another place/).waitFor();
    await expectSound('compliance-tampered');
  });

  it('refuses a checkpoint with a bad signature', async () => {
    const page = await visit('/compliance.html', async (s) => {
      const note = await s.shown.ledger.checkpoint();
      s.shown.tamper = (path) => (path === 'checkpoint' ? note.replace('\n11\n', '\n10\n') : undefined);
    });
    await expect.poll(() => answer(page).textContent()).toBe('1 problem found');
    await page.getByText(/NOTE_UNSIGNED/).waitFor();
    await expectSound('compliance-unsigned');
  });

  it('notices a ledger that was rewritten since the last visit', async () => {
    const page = await visit('/compliance.html');
    await expect.poll(() => answer(page).textContent()).toContain('verified');
    const rewritten = await fixtures.ledger();
    await fixtures.release(rewritten, 2, 'b'.repeat(64), 'c'.repeat(64));
    await page.evaluate(() => {
      const key = Object.keys(localStorage)[0] as string;
      const seen = JSON.parse(localStorage.getItem(key) as string) as { root: string };
      localStorage.setItem(key, JSON.stringify({ ...seen, root: seen.root.replace(/^../, 'ff') }));
    });
    await page.reload();
    await page.getByText(/the ledger was rewritten/).waitFor();
    await expectSound('compliance-rewritten');
  });

  it('says when a budget is overdrawn, and when the summary is not what the entries give', async () => {
    const page = await visit('/compliance.html', (s) => {
      s.shown.budgets = s.shown.budgets.map((b) => ({ ...b, spent: 4.5, left: 0 }));
    });
    await expect.poll(() => answer(page).textContent()).toBe('2 problems found');
    await page.getByText('over budget').waitFor();
    await page.getByText(/the coordinator’s summary is not what its ledger’s entries give/).waitFor();
    await expectSound('compliance-overdrawn');
  });

  it('says when a budget is used up to the last of it', async () => {
    const page = await visit('/compliance.html', async (s) => {
      const log = s.shown.ledger;
      const [status] = await fixtures.budgetsOf(log);
      if (status === undefined) throw new Error('the fixture has a budget');
      const { scope, unit, period, spent, reserved } = status;
      await log.append(
        {
          kind: 'budget.lower',
          budget: { scope, unit, period },
          epsilon: decimal(spent + reserved),
          delta: '0.0001',
          reason: 'no more training on this data this year',
        },
        'lower',
      );
      s.shown.budgets = await fixtures.budgetsOf(log);
    });
    await expect
      .poll(() => answer(page).textContent())
      .toContain('its budget is used up; the ledger is verified to entry 11');
    await page.getByText('used up: no more training').waitFor();
    await expectSound('compliance-exhausted');
  });

  it('says that nothing can be checked when the coordinator is gone', async () => {
    const page = await visit('/compliance.html', (s) => {
      s.shown.down = true;
    });
    await page.getByText('The coordinator does not answer, so nothing can be checked.').waitFor();
    await expectSound('compliance-gone', [/ERR_EMPTY_RESPONSE|Failed to load resource/]);
    server.shown.down = false;
    await page.setViewportSize({ width: 1200, height: 900 });
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect.poll(() => answer(page).textContent()).toContain('verified to entry 10');
  });

  it('verifies an entry step by step, and the proof file is one that the library accepts', async () => {
    const page = await visit('/compliance.html#entry=4');
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByText('verified on this device', { exact: true }).waitFor();
    const steps = page.getByRole('list', { name: 'Steps of the verification' });
    for (const title of ['Signature', 'Entry', 'Leaf', 'Path', 'Consistency'])
      await steps.getByText(title, { exact: true }).waitFor();
    await expectSound('compliance-entry');
    await page.setViewportSize({ width: 1200, height: 900 });
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Download the proof' }).click();
    expect(await read(await (await download).createReadStream())).toBe(await server.shown.ledger.proofFile(4));
  });

  it('verifies consistency with an earlier visit after the ledger has grown', async () => {
    const page = await visit('/compliance.html');
    await expect.poll(() => answer(page).textContent()).toContain('verified to entry 10');
    const { ledger } = server.shown;
    await fixtures.release(ledger, 2, (await lastModel(ledger)) ?? '', 'c'.repeat(64));
    await ledger.checkpoint();
    await page.evaluate(() => {
      location.hash = '#entry=11';
    });
    await page.reload();
    await expect.poll(() => answer(page).textContent()).toContain('verified to entry 11');
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByText('verified on this device', { exact: true }).waitFor();
  });

  it('shows at which step a verification fails', async () => {
    const page = await visit('/compliance.html#entry=3', (s) => changeEntries(s));
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByText('not verified', { exact: true }).waitFor();
    await page.getByText(/PROOF_INVALID/).waitFor();
    await expectSound('compliance-entry-wrong');
  });

  it('exports name the checkpoint they were made under', async () => {
    const page = await visit('/compliance.html');
    await expect.poll(() => answer(page).textContent()).toContain('verified');
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Entries as CSV' }).click();
    const text = await read(await (await download).createReadStream());
    expect(text.trim().split('\r\n')).toHaveLength(12);
    expect(text).toContain(`${fixtures.ABOUT.origin} 11 `);
  });

  it('hands out the ledger as a bundle that verifies, a report with the Art. 30 record, and a registry draft', async () => {
    const page = await visit('/compliance.html');
    await expect.poll(() => answer(page).textContent()).toContain('verified');
    const take = async (name: string): Promise<Buffer> => {
      const download = page.waitForEvent('download');
      await page.getByRole('button', { name }).click();
      return bytesOf(await (await download).createReadStream());
    };
    const files = new Map(Object.entries(unzipSync(await take('Whole ledger as .zip'))));
    const report = await verifyBundle(files, { vkeys: [fixtures.ABOUT.vkey], recompute: recomputeCertificate });
    expect(report).toMatchObject({ verdict: 'verified', size: 11, failures: [] });
    const html = (await take('Report with Art. 30 record')).toString('utf8');
    for (const words of ['Art. 30(1)(b)', 'to be filled in by the controller', 'SP 800-226', 'CCPA'])
      expect(html).toContain(words);
    const rendered = await page.context().newPage();
    await rendered.setContent(html);
    await screenshot(rendered, 'report');
    expect(await axeProblems(rendered)).toEqual([]);
    const [draft] = JSON.parse((await take('Registry draft')).toString('utf8'));
    expect(draft).toMatchObject({
      status: 'Draft',
      tier: 3,
      deployment: { deployment_model: { model_name: 'Federated' } },
    });
  });

  it('prints', async () => {
    const page = await visit('/compliance.html');
    await expect.poll(() => answer(page).textContent()).toContain('verified');
    await page.emulateMedia({ media: 'print' });
    expect(await page.getByRole('button').count()).toBe(0);
    const folded = page.locator('details:not([open]) > :not(summary)');
    expect(await folded.count()).toBeGreaterThan(2);
    for (const part of await folded.all()) expect(await part.isVisible()).toBe(true);
    const pdf = await page.pdf({ format: 'A4', printBackground: true });
    await keep('compliance.pdf', pdf);
    expect(pdf.length).toBeGreaterThan(20_000);
  });

  async function lastModel(ledger: PagesServer['shown']['ledger']): Promise<string | undefined> {
    const { entry } = await ledger.entry(10);
    return entry.kind === 'round.release' ? entry.modelHash : undefined;
  }

  /** One letter of one consent, in the bundle that the log serves. */
  async function changeEntries(s: PagesServer): Promise<void> {
    const bundle = await s.shown.ledger.entryBundle(0, s.shown.ledger.size);
    const changed = Buffer.from(
      Buffer.from(bundle as Uint8Array)
        .toString('latin1')
        .replace('"records":640', '"records":641'),
      'latin1',
    );
    s.shown.tamper = (path) => (path.startsWith('tile/entries/') ? changed : undefined);
  }
});
