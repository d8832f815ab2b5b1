import { svg, type TemplateResult } from 'lit';

/** Small marks drawn as lines, so that they take the text's colour. All are decoration: the words beside them say it. */
const icon = (path: TemplateResult<2>): TemplateResult<2> =>
  svg`<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${path}</svg>`;

export const iconCheck = (): TemplateResult<2> => icon(svg`<path d="M3 8.5 6.5 12 13 4.5" />`);
export const iconCross = (): TemplateResult<2> => icon(svg`<path d="M4 4l8 8M12 4l-8 8" />`);
export const iconWarn = (): TemplateResult<2> => icon(svg`<path d="M8 2.2 14.4 13.4H1.6ZM8 6.6v3M8 11.6v.01" />`);
export const iconInfo = (): TemplateResult<2> =>
  icon(svg`<circle cx="8" cy="8" r="6.2" /><path d="M8 7.4v3.6M8 5v.01" />`);
export const iconDot = (): TemplateResult<2> => icon(svg`<circle cx="8" cy="8" r="3" fill="currentColor" />`);
