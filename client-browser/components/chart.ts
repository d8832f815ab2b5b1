import { html, nothing, type PropertyValues, svg, type TemplateResult } from 'lit';
import '../lib/language.ts';
import uPlot from 'uplot';
import { dataTable } from './data-table.ts';
import { PageElement } from './element.ts';

export interface ChartSeries {
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** Every series has its own dash and colour: it can be told apart without colour. */
  readonly style: 1 | 2 | 3;
  readonly draw?: 'line' | 'step' | 'points';
}

export interface ChartSpec {
  readonly title: string;
  readonly xLabel: string;
  /** Strictly increasing. */
  readonly x: readonly number[];
  readonly series: readonly ChartSeries[];
  readonly format: (value: number) => string;
  /** Fixed vertical range; else it fits the values. */
  readonly range?: readonly [number, number];
  /** How x is written in the table; default the number. */
  readonly xText?: (x: number) => string;
}

const DASHES: Record<ChartSeries['style'], number[]> = { 1: [], 2: [7, 4], 3: [2, 3] };

/** A uPlot line chart with a legend in text and the same numbers as a table. */
export class TacitChart extends PageElement {
  static override properties = { spec: { attribute: false } };
  declare spec: ChartSpec | null;
  private plot: uPlot | null = null;
  private readonly resize = new ResizeObserver(() => this.fit());
  private readonly scheme = matchMedia('(prefers-color-scheme: dark)');

  constructor() {
    super();
    this.spec = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.scheme.addEventListener('change', this.redraw);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.scheme.removeEventListener('change', this.redraw);
    this.resize.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  override render(): TemplateResult | typeof nothing {
    const { spec } = this;
    if (spec === null) return nothing;
    return html`<figure class="chart">
      <figcaption>${spec.title}</figcaption>
      <ul class="legend">
        ${spec.series.map(
          (s) => html`<li>
            <svg viewBox="0 0 24 12" aria-hidden="true">
              ${key(s)}
            </svg>
            ${s.label}
          </li>`,
        )}
      </ul>
      <div class="chart-canvas" role="img" aria-label=${describe(spec)}></div>
      <details>
        <summary>Show as a table</summary>
        ${twin(spec)}
      </details>
    </figure>`;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has('spec')) this.redraw();
  }

  private readonly redraw = (): void => {
    const host = this.querySelector<HTMLElement>('.chart-canvas');
    if (this.spec === null || host === null) return;
    this.plot?.destroy();
    this.plot = new uPlot(options(this.spec, host), data(this.spec), host);
    this.resize.observe(host);
  };

  private fit(): void {
    const host = this.querySelector<HTMLElement>('.chart-canvas');
    if (host !== null && this.plot !== null && host.clientWidth > 0 && host.clientWidth !== this.plot.width)
      this.plot.setSize({ width: host.clientWidth, height: CHART_HEIGHT });
  }
}

customElements.define('tacit-chart', TacitChart);

/** The series as it is drawn, for the legend. */
function key({ style, draw }: ChartSeries): TemplateResult<2> {
  return draw === 'points'
    ? svg`<circle class="key-${style}" cx="12" cy="6" r="4"></circle>`
    : svg`<line class="key-${style}" stroke-dasharray=${DASHES[style].join(' ')} x1="0" x2="24" y1="6" y2="6"></line>`;
}

const CHART_HEIGHT = 240;

function data(spec: ChartSpec): uPlot.AlignedData {
  return [[...spec.x], ...spec.series.map((s) => [...s.values])] as uPlot.AlignedData;
}

function options(spec: ChartSpec, host: HTMLElement): uPlot.Options {
  const token = (name: string): string => getComputedStyle(host).getPropertyValue(name).trim();
  const axis: uPlot.Axis = {
    stroke: token('--ink-soft'),
    font: `12px ${token('--sans')}`,
    grid: { stroke: token('--rule'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: Math.max(host.clientWidth, 240),
    height: CHART_HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false },
      y: spec.range === undefined ? {} : { range: [spec.range[0], spec.range[1]] },
    },
    axes: [
      {
        ...axis,
        label: spec.xLabel,
        labelFont: `12px ${token('--sans')}`,
        labelSize: 22,
        grid: { show: false },
        incrs: INTEGER_STEPS,
      },
      { ...axis, size: 58, values: (_, splits) => splits.map((v) => spec.format(v)) },
    ],
    series: [{}, ...spec.series.map((s) => series(s, token))],
  };
}

/** Rounds and entries are whole numbers. */
const INTEGER_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000];

function series(s: ChartSeries, token: (name: string) => string): uPlot.Series {
  const stroke = token(`--series-${s.style}`);
  const points = {
    show: true,
    size: s.draw === 'points' ? 9 : 5,
    stroke,
    fill: s.draw === 'points' ? token('--surface') : stroke,
  };
  if (s.draw === 'points') return { label: s.label, stroke, paths: () => null, points: { ...points, width: 2 } };
  const base: uPlot.Series = { label: s.label, stroke, width: 2, dash: DASHES[s.style], spanGaps: true, points };
  const stepped = s.draw === 'step' ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  return stepped === undefined ? base : { ...base, paths: stepped };
}

/** The chart in a sentence: what, over what, from and to. */
function describe(spec: ChartSpec): string {
  const parts = spec.series.map((s) => {
    const known = s.values.filter((v): v is number => v !== null);
    const [first, last] = [known[0], known.at(-1)];
    if (first === undefined || last === undefined) return `${s.label}: no values yet`;
    return known.length === 1
      ? `${s.label}: ${spec.format(first)}`
      : `${s.label}: from ${spec.format(first)} to ${spec.format(last)}`;
  });
  return `${spec.title}, by ${spec.xLabel}. ${parts.join('; ')}. The table below has every value.`;
}

function twin(spec: ChartSpec): TemplateResult {
  return dataTable({
    caption: `${spec.title} (table)`,
    captionHidden: true,
    columns: [
      { label: spec.xLabel, cell: (i: number) => spec.xText?.(spec.x[i] as number) ?? String(spec.x[i]) },
      ...spec.series.map((s) => ({
        label: s.label,
        align: 'end' as const,
        cell: (i: number) => {
          const value = s.values[i];
          return value === null || value === undefined ? '–' : spec.format(value);
        },
      })),
    ],
    rows: spec.x.map((_, i) => i),
    empty: 'No values yet.',
  });
}
