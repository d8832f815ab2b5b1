import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launchChromium } from '../support/chromium.ts';
import { createTestRun, madeUpMail, startParticipant } from '../support/federation.ts';
import { sharedSite } from '../support/shared-site.ts';
import { openPage, requirePages } from './open-pages.ts';

let browser: Browser;
const site = sharedSite(3);
const { participants } = site;

beforeAll(async () => {
  requirePages();
  browser = await launchChromium();
});
afterAll(() => browser.close());

test('a browser pre-trains on a text file without labels, and both pages say what is learnt', async () => {
  const train = '{ lora: { rank: 2, alpha: 4, targets: [query, value], layers: [1] } }';
  const run = await createTestRun(site.coordinator, {
    head: 'none',
    task: '{ kind: pretraining, text: text, textPer: line, nextSentence: true }',
    stages: `  - { algorithm: dp-fedsgd, train: ${train}, rounds: 2, samplingProbability: 1, l2Clip: 0.2, server: { optimizer: adam, learningRate: 0.01 } }`,
    phase: '60s',
    training: '240s',
    join: '240s',
  });
  for (const index of [1, 2, 3, 4]) participants.push(startParticipant({ link: run.link, index }));
  const { page, complaints } = await openPage(browser, run.link);
  page.setDefaultTimeout(240_000);
  await page.getByLabel('Your name or organisation').fill('A browser');
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.getByText('Texts are enough: no label is needed.').waitFor();
  const lines = madeUpMail(20, 9000).map(({ text }) => text);
  const file = { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from(lines.join('\n')) };
  await page.getByLabel('Choose files').setInputFiles(file);
  await page.getByText('20 texts').first().waitFor();
  expect(await page.getByRole('columnheader', { name: 'Label' }).count()).toBe(0);
  await page.getByRole('checkbox', { name: /I may use this data/ }).check();
  await page.getByRole('button', { name: 'I consent' }).click();
  await page.getByText('Hidden word pieces told right now').waitFor();
  const view = site.coordinator.run(run.id);
  expect([view?.state, view?.reason]).toEqual(['finished', null]);
  const mine = view?.participants.find((p) => p.organisation === 'A browser');
  expect(mine).toMatchObject({ records: 20, engine: expect.stringMatching(/^tfjs /) });
  const released = site.coordinator.rounds(run.id).filter((r) => r.phase === 'done');
  expect(released.map((r) => r.funnel.survived)).toEqual([5, 5]);
  expect(complaints).toEqual([]);

  const { page: operator } = await openPage(browser, `${site.url}/runs.html#run=${run.id}`);
  await operator.getByText('Hidden word pieces told right, held-out data').waitFor();
  await operator.getByText('none: fills in hidden words').waitFor();
  await operator.goto(`${site.url}/runs.html#run=${run.id}&tab=models`);
  await operator.getByLabel(/A text for/).fill('dear friend number [MASK]');
  await operator.getByRole('button', { name: 'Predict' }).click();
  await operator.getByRole('columnheader', { name: 'Piece' }).waitFor();
}, 400_000);
