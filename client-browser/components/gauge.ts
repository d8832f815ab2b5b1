import { html, svg, type TemplateResult } from 'lit';
import { formatEpsilon } from '../lib/format.ts';

export interface Gauge {
  /** What is measured, e.g. `mail, one record, 2026`. */
  readonly label: string;
  readonly total: number;
  readonly spent: number;
  readonly reserved: number;
}

/** Privacy budget as a bar: spent solid, reserved hatched, left empty; the same in words for everybody. */
export function gauge({ label, total, spent, reserved }: Gauge): TemplateResult {
  const left = Math.max(0, total - spent - reserved);
  const percent = (x: number): number => (total > 0 ? Math.min(100, (100 * x) / total) : 0);
  const over = spent + reserved > total * (1 + 1e-9);
  const words = `Privacy budget of ${label}: ${formatEpsilon(spent)} spent, ${formatEpsilon(reserved)} reserved, ${floor(left)} left of ${floor(total)}`;
  const solid = percent(spent);
  const hatched = Math.min(100 - solid, percent(reserved));
  return html`<div class="gauge stack-tight">
    <svg viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label=${words}>
      <rect class="gauge-track" width="100" height="8" />
      <rect class=${over ? 'gauge-over' : 'gauge-spent'} width=${solid} height="8" />
      <rect class="gauge-reserved" x=${solid} width=${hatched} height="8" />
      ${hatch(solid, hatched)}
      <rect class="gauge-edge" width="100" height="8" vector-effect="non-scaling-stroke" />
    </svg>
    <ul class="legend">
      <li>${swatch(over ? 'gauge-over' : 'gauge-spent', false)} spent <strong class="number">${formatEpsilon(spent)}</strong></li>
      <li>${swatch('gauge-reserved', true)} reserved <strong class="number">${formatEpsilon(reserved)}</strong></li>
      <li>${swatch('gauge-track', false)} left <strong class="number">${floor(left)}</strong> of ${floor(total)}</li>
    </ul>
  </div>`;
}

/** What is left is rounded down, what is spent up: the display never flatters. */
function floor(epsilon: number): string {
  return (Math.floor(epsilon * 100 + 1e-6) / 100).toFixed(2);
}

function hatch(x: number, width: number): TemplateResult<2>[] {
  const lines: TemplateResult<2>[] = [];
  for (let at = x + 0.8; at < x + width; at += 1.2) {
    lines.push(svg`<line class="gauge-hatch" x1=${at} x2=${at} y1="0" y2="8" vector-effect="non-scaling-stroke" />`);
  }
  return lines;
}

function swatch(className: string, hatched: boolean): TemplateResult {
  return html`<svg viewBox="0 0 24 12" aria-hidden="true">
    <rect class=${className} width="24" height="12" />
    ${hatched ? [5, 10, 15, 20].map((x) => svg`<line class="gauge-hatch" x1=${x} x2=${x} y1="0" y2="12" />`) : ''}
    <rect class="gauge-edge" x="0.5" y="0.5" width="23" height="11" />
  </svg>`;
}
