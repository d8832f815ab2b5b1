import { svg, type TemplateResult } from 'lit';

/** Small marks drawn as lines, so that they take the text's colour. All are decoration: the words beside them say it. */
const icon = (path: TemplateResult): TemplateResult =>
  svg`<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${path}</svg>` as unknown as TemplateResult;

export const iconCheck = (): TemplateResult => icon(svg`<path d="M3 8.5 6.5 12 13 4.5" />` as unknown as TemplateResult);
export const iconCross = (): TemplateResult => icon(svg`<path d="M4 4l8 8M12 4l-8 8" />` as unknown as TemplateResult);
export const iconWarn = (): TemplateResult =>
  icon(svg`<path d="M8 2.2 14.4 13.4H1.6ZM8 6.6v3M8 11.6v.01" />` as unknown as TemplateResult);
export const iconInfo = (): TemplateResult =>
  icon(svg`<circle cx="8" cy="8" r="6.2" /><path d="M8 7.4v3.6M8 5v.01" />` as unknown as TemplateResult);
export const iconDot = (): TemplateResult =>
  icon(svg`<circle cx="8" cy="8" r="3" fill="currentColor" />` as unknown as TemplateResult);
