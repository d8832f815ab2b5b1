import { html, type TemplateResult } from 'lit';
import type { CoordinatorEvent } from '../../shared/protocol/views.ts';
import { badge, type Tone } from '../components/badge.ts';
import { formatTime } from '../lib/format.ts';

export type LogLine = Extract<CoordinatorEvent, { kind: 'log' }>;

const TONES: Readonly<Record<LogLine['level'], Tone>> = { info: 'plain', warn: 'warn', error: 'bad' };

/** Events: what the coordinator says as it works, since this page was opened. */
export function eventsTab(lines: readonly LogLine[]): TemplateResult {
  return html`<section class="panel stack">
    <h2>Since you opened this page</h2>
    ${
      lines.length === 0
        ? html`<p class="soft" role="status">Nothing has happened yet.</p>`
        : html`<ol class="log" role="log" aria-label="Events" tabindex="0">
            ${[...lines].reverse().map(
              (line) => html`<li>
                <time datetime=${line.at}>${formatTime(line.at)}</time>
                <span>${badge(line.level, TONES[line.level])}</span>
                <span>${line.text}</span>
              </li>`,
            )}
          </ol>`
    }
  </section>`;
}
