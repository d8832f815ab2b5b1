import { existsSync, mkdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults } from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';

export const PAGES_DIR = join(import.meta.dirname, '..', '..', 'dist', 'pages');
/** Set to look at every state: one PNG a state is written there. */
const SCREENSHOTS = process.env['TACIT_SCREENSHOTS'];
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

export interface OpenPage {
  readonly page: Page;
  /** Uncaught errors, console errors and violations of the security policy, in the order in which they came. */
  readonly complaints: string[];
}

/** @throws when the pages are not built */
export function requirePages(): string {
  if (!existsSync(join(PAGES_DIR, 'index.html'))) throw new Error('the pages are not built: npm run build');
  return PAGES_DIR;
}

/** A page in a browser profile of its own that notes everything it complains about. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<OpenPage> {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  // Machines are busy; whatever never comes is not there after a minute either.
  page.setDefaultTimeout(60_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`console: ${message.text()}`);
  });
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  await page.goto(url);
  return { page, complaints };
}

/** What axe-core finds wrong, as one line each; empty when nothing. Injected over the debugger, past the policy. */
export async function axeProblems(page: Page): Promise<string[]> {
  await page.evaluate(await readFile(AXE, 'utf8'));
  const results = (await page.evaluate(
    `axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] })`,
  )) as AxeResults;
  return results.violations.flatMap((v) =>
    v.nodes.map((n) => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary?.split('\n')[1]?.trim() ?? ''}`),
  );
}

/** What sticks out to the right of a window of this page's width, outermost first; empty when it fits. */
export function overflowing(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const { clientWidth, scrollWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];
    const out = [...document.body.querySelectorAll('*')].filter(
      (e) => e.getBoundingClientRect().right > clientWidth + 1,
    );
    return out
      .slice(0, 5)
      .map((e) => `${e.tagName.toLowerCase()}.${e.getAttribute('class')} ${e.getBoundingClientRect().right}`);
  });
}

export async function screenshot(page: Page, name: string): Promise<void> {
  if (SCREENSHOTS !== undefined) await keep(`${name}.png`, await page.screenshot({ fullPage: true }));
}

/** Beside the screenshots, when they are asked for. */
export async function keep(name: string, bytes: Uint8Array): Promise<void> {
  if (SCREENSHOTS === undefined) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await writeFile(join(SCREENSHOTS, name), bytes);
}
/** The state is accessible in both schemes, fits a phone, and broke no rule of the security policy on its way. */
export async function soundness(
  { page, complaints }: OpenPage,
  name: string,
  expectedComplaints: readonly RegExp[] = [],
): Promise<void> {
  await screenshot(page, name);
  expect(await axeProblems(page)).toEqual([]);
  await page.emulateMedia({ colorScheme: 'dark' });
  await screenshot(page, `${name}-dark`);
  expect(await axeProblems(page)).toEqual([]);
  await page.setViewportSize({ width: 390, height: 844 });
  await screenshot(page, `${name}-phone`);
  await page.setViewportSize({ width: 340, height: 800 });
  await expect.poll(() => overflowing(page)).toEqual([]);
  expect(complaints.filter((c) => !expectedComplaints.some((e) => e.test(c)))).toEqual([]);
  await page.emulateMedia({ colorScheme: null });
}

/** Presses Tab until the focus is on the control with this id, name, label or text. */
export async function tabTo(page: Page, control: string): Promise<void> {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press('Tab');
    const names = await page.evaluate(() => {
      const e = document.activeElement;
      return e === null ? [] : [e.id, e.getAttribute('name'), e.getAttribute('aria-label'), e.textContent?.trim()];
    });
    if (names.includes(control)) return;
  }
  throw new Error(`no way by Tab to ${control}`);
}

export async function read(stream: NodeJS.ReadableStream): Promise<string> {
  return (await bytesOf(stream)).toString('utf8');
}

export async function bytesOf(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(Buffer.from(part as Uint8Array));
  return Buffer.concat(parts);
}
