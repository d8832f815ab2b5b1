import { html, type TemplateResult } from 'lit';

export interface Confirm {
  readonly id: string;
  readonly title: string;
  readonly body: unknown;
  readonly confirm: string;
  readonly cancel?: string;
  readonly dangerous?: boolean;
  readonly onConfirm: (form: HTMLFormElement) => void;
}

/** A modal question. Escape and the second button leave everything as it is; the browser returns the focus. */
export function confirmDialog(d: Confirm): TemplateResult {
  return html`<dialog id=${d.id} aria-labelledby="${d.id}-title">
    <form method="dialog" class="stack" @submit=${(event: SubmitEvent) => answered(event, d)}>
      <h2 id="${d.id}-title">${d.title}</h2>
      ${d.body}
      <div class="row">
        <button class="button ${d.dangerous ? 'button-bad' : 'button-main'}" value="yes">${d.confirm}</button>
        <button class="button" value="no" formnovalidate>${d.cancel ?? 'Cancel'}</button>
      </div>
    </form>
  </dialog>`;
}

function answered(event: SubmitEvent, d: Confirm): void {
  const button = event.submitter;
  if (button instanceof HTMLButtonElement && button.value === 'yes') d.onConfirm(event.target as HTMLFormElement);
}

export function openDialog(id: string): void {
  const dialog = document.getElementById(id);
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
}
