import { html, type TemplateResult } from 'lit';
import { iconCheck, iconCross, iconDot, iconInfo, iconWarn } from './icons.ts';

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'live';

const ICONS = { plain: iconInfo, good: iconCheck, warn: iconWarn, bad: iconCross, live: iconDot };

/** A state in a word. The tone is a second signal beside the word, never the only one. */
export function badge(text: string, tone: Tone = 'plain'): TemplateResult {
  return html`<span class="badge badge-${tone}">${ICONS[tone]()}${text}</span>`;
}

/** A sentence that matters now, with what to do. `live` announces it to assistive technology when it appears. */
export function notice(tone: Tone, title: string, body: unknown, live = false): TemplateResult {
  return html`<div class="notice notice-${tone} fade" role=${live ? (tone === 'bad' ? 'alert' : 'status') : 'note'}>
    ${ICONS[tone]()}
    <div><strong>${title}</strong> ${body}</div>
  </div>`;
}
