import { html, type TemplateResult } from 'lit';
import { operatorToken, operatorTokenField } from './overview.ts';

/** What `POST /api/v1/runs` takes, as text. */
export interface NewRun {
  readonly plan: string;
  readonly validation: string;
  readonly test: string;
}

const FILES = [
  ['plan', 'Plan', '.yaml,.yml,.json', 'YAML or JSON (docs/PLAN.md). "tacit plan FILE" says beforehand what it costs.'],
  ['validation', 'Validation texts', '.jsonl,.ndjson', 'JSON Lines of your own; the best round is chosen with them.'],
  ['test', 'Test texts', '.jsonl,.ndjson', 'JSON Lines of your own; reported, and never chosen on.'],
] as const;

/** A run from three files of the operator's. The budget is reserved when it is made; nobody is asked before. */
export function startRunForm(start: (run: NewRun, token: string) => void): TemplateResult {
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const data = new FormData(form);
    const text = (name: string): Promise<string> => (data.get(name) as File).text();
    const [plan, validation, test] = await Promise.all([text('plan'), text('validation'), text('test')]);
    start({ plan, validation, test }, operatorToken(form));
  };
  return html`<section class="panel"><details>
    <summary>Start a run</summary>
    <form class="stack" @submit=${submit}>
      <p class="soft">The plan is checked whole, its noise is computed, and its budget is set aside in the ledger; a plan over budget is refused. Then invite participants from the run’s page.</p>
      <div class="grid-fields">
        ${FILES.map(
          ([name, label, accept, hint]) => html`<div class="field">
            <label for="start-${name}">${label}</label>
            <input type="file" id="start-${name}" name=${name} accept=${accept} required aria-describedby="start-${name}-hint" />
            <span class="hint" id="start-${name}-hint">${hint}</span>
          </div>`,
        )}
      </div>
      ${operatorTokenField('start-token')}
      <p><button class="button button-main">Start the run</button></p>
    </form>
  </details></section>`;
}
