import { html, nothing, type TemplateResult } from 'lit';
import { iconCheck } from './icons.ts';

export interface Step {
  readonly id: string;
  readonly label: string;
  readonly state: 'done' | 'current' | 'ahead';
}

/** Where you are in the order of the day. Reached steps are links to their section. */
export function stepRail(steps: readonly Step[]): TemplateResult {
  return html`<nav class="rail" aria-label="Steps">
    <ol class="steps">
      ${steps.map(
        (step, i) => html`<li class=${step.state} aria-current=${step.state === 'current' ? 'step' : nothing}>
          <span class="mark" aria-hidden="true">${step.state === 'done' ? iconCheck() : i + 1}</span>
          ${
            step.state === 'ahead'
              ? step.label
              : html`<a href="#${step.id}" @click=${(event: Event) => goTo(event, step.id)}>${step.label}${
                  step.state === 'done' ? html`<span class="visually-hidden"> (done)</span>` : nothing
                }</a>`
          }
        </li>`,
      )}
    </ol>
  </nav>`;
}

/** The fragment holds the invitation, so a step link scrolls and moves the focus without touching it. */
function goTo(event: Event, id: string): void {
  event.preventDefault();
  const section = document.getElementById(id);
  const folded = section?.querySelector<HTMLDetailsElement>(':scope > details');
  if (folded != null) folded.open = true;
  section?.scrollIntoView({ block: 'start' });
  section?.focus({ preventScroll: true });
}
