import { html, nothing, svg, type TemplateResult } from 'lit';
import type { AboutView } from '../../shared/protocol/views.ts';

export interface Shell {
  readonly current: 'participant' | 'operator' | 'compliance';
  readonly about: AboutView | null;
  /** Right end of the masthead, e.g. the Leave button. */
  readonly end?: unknown;
  readonly main: unknown;
  /** Stable URL of the same facts as JSON. */
  readonly twin: string;
}

const PAGES = [
  { key: 'participant', href: './index.html', label: 'Take part' },
  { key: 'operator', href: './runs.html', label: 'Runs' },
  { key: 'compliance', href: './compliance.html', label: 'Compliance' },
] as const;

/** Masthead, main and colophon: the same on the three pages. */
export function shell(page: Shell): TemplateResult {
  return html`
    <a class="skip" href="#main" @click=${skipToMain}>Skip to the content</a>
    <header class="masthead">
      <div class="masthead-inner">
        <a class="wordmark" href="./index.html">${mark()}<span>Tacit</span></a>
        <nav aria-label="Pages">
          <ul class="nav">
            ${PAGES.map(
              ({ key, href, label }) =>
                html`<li><a href=${href} aria-current=${key === page.current ? 'page' : nothing}>${label}</a></li>`,
            )}
          </ul>
        </nav>
        <div class="masthead-end">${page.end ?? nothing}</div>
      </div>
    </header>
    <main id="main" class="page" tabindex="-1">${page.main}</main>
    <footer class="colophon"><div class="colophon-inner">
      <span>
        ${
          page.about === null
            ? 'Tacit'
            : html`${page.about.name} · Tacit ${page.about.version} · ${page.about.protocol} · key
                <span class="hash">${page.about.fingerprint}</span>`
        }
      </span>
      <span>Everything on this page comes from this coordinator. <a href=${page.twin}>The same facts as JSON</a></span>
    </div></footer>
  `;
}

/** The fragment carries the page's state, so the skip link moves the focus itself. */
function skipToMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function mark(): TemplateResult {
  return html`${svg`<svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" fill="#0b5d5b"/><path d="M8 10h16M16 10v14" stroke="#fbfaf7" stroke-width="3.2" stroke-linecap="round"/><circle cx="16" cy="24" r="2.4" fill="#f0b45a"/></svg>`}`;
}
