import { html, nothing, type TemplateResult } from 'lit';
import { canonicalJson } from '../../shared/core/canonical.ts';
import type { ProposalView } from '../../shared/protocol/views.ts';
import { download } from '../lib/download.ts';
import { operatorTokenField } from './overview.ts';
import { proposalTitle, signingCommand } from './proposal-words.ts';

export interface SignActions {
  /** Signs on this device with the key in the file; the operator's token where nobody is in office. */
  sign(proposal: ProposalView, key: KeyInForm): void;
  /** An approval file's text, with the operator's token where nobody is in office. */
  bring(proposal: ProposalView, text: string, token?: string): void;
}

/** What a person put into the form; the form is empty again when this is handed on. */
export interface KeyInForm {
  readonly file: File;
  readonly passphrase: string;
  /** Asked for only where nobody is in office; the key decides, not the name. */
  readonly name: string;
  readonly token?: string;
}

/** Where a signature is made, or brought from another machine. */
export function signPanel(
  p: ProposalView,
  id: string,
  anyKey: boolean,
  busy: boolean,
  actions: SignActions,
): TemplateResult {
  return html`<div class="stack sign">
    <h3>Sign it</h3>
    ${signHere(p, id, anyKey, busy, actions)}
    <details>
      <summary>Sign on another machine instead</summary>
      ${signElsewhere(p, id, anyKey, actions)}
    </details>
  </div>`;
}

function signHere(p: ProposalView, id: string, anyKey: boolean, busy: boolean, actions: SignActions): TemplateResult {
  const submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const data = new FormData(form);
    const text = (name: string): string => String(data.get(name) ?? '');
    const file = data.get('key') as File;
    const token = anyKey ? { token: text('token') } : {};
    const key = { file, passphrase: text('passphrase'), name: text('name').trim(), ...token };
    form.reset();
    actions.sign(p, key);
  };
  return html`<form class="stack" @submit=${submitted}>
    <p>Your key is opened and used on this device, in a part of this page that cannot reach the network, and forgotten right after. Only the signature is sent.</p>
    <div class="grid-fields">
      <div class="field">
        <label for="${id}-key">Your key file</label>
        <input type="file" id="${id}-key" name="key" required accept=".json,application/json" aria-describedby="${id}-key-hint" />
        <span class="hint" id="${id}-key-hint">as <code>tacit approver key</code> made it</span>
      </div>
      <div class="field">
        <label for="${id}-passphrase">Passphrase</label>
        <input type="password" id="${id}-passphrase" name="passphrase" required autocomplete="off" aria-describedby="${id}-passphrase-hint" />
        <span class="hint" id="${id}-passphrase-hint">opens the key file; it takes a second</span>
      </div>
      ${
        anyKey
          ? html`<div class="field">
              <label for="${id}-name">Your name</label>
              <input type="text" id="${id}-name" name="name" required maxlength="200" autocomplete="off" aria-describedby="${id}-name-hint" />
              <span class="hint" id="${id}-name-hint">becomes part of the ledger</span>
            </div>
            ${operatorTokenField(`${id}-token`)}`
          : nothing
      }
    </div>
    <p><button class="button button-main" ?disabled=${busy}>${busy ? 'Signing…' : 'Sign and send the signature'}</button></p>
  </form>`;
}

function signElsewhere(p: ProposalView, id: string, anyKey: boolean, actions: SignActions): TemplateResult {
  const { file, command } = signingCommand(p);
  const token = (from: Element): string | undefined => {
    const field = from.closest('.elsewhere')?.querySelector<HTMLInputElement>('input[type=password]');
    const value = field?.value;
    if (field != null) field.value = '';
    return value;
  };
  const bring = async (from: Element, approval: Blob | undefined): Promise<void> => {
    if (approval !== undefined) actions.bring(p, await approval.text(), token(from));
  };
  const over = (event: DragEvent, on: boolean): void => {
    event.preventDefault();
    (event.currentTarget as HTMLElement).classList.toggle('over', on);
  };
  const dropped = (event: DragEvent): void => {
    over(event, false);
    void bring(event.currentTarget as Element, event.dataTransfer?.files[0]);
  };
  const chosen = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    void bring(input, input.files?.[0]).then(() => {
      input.value = '';
    });
  };
  const pasted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    actions.bring(p, String(new FormData(form).get('approval') ?? ''), token(form));
    form.reset();
  };
  const save = (): void => download(file, `${canonicalJson(p.document)}\n`, 'application/json');
  return html`<div class="stack elsewhere">
    <ol class="stack-tight">
      <li><button class="button" @click=${save}>Download the document</button></li>
      <li>On your own machine, with your own key, which stays there:
        <pre class="code" tabindex="0" role="region" aria-label="Command that signs">${command}</pre>
      </li>
      <li>Bring <code>approval.json</code> here. It is checked on this device first; a key file is never sent.</li>
    </ol>
    ${anyKey ? operatorTokenField(`${id}-elsewhere-token`) : nothing}
    <div class="drop" @dragover=${(e: DragEvent) => over(e, true)} @dragleave=${(e: DragEvent) => over(e, false)} @drop=${dropped}>
      <p><strong>Drop the approval here</strong></p>
      <div class="row">
        <label class="button file-button">
          Choose the approval file
          <input type="file" accept=".json,application/json" aria-label="Choose the approval file for ${proposalTitle(p)}" @change=${chosen} />
        </label>
      </div>
    </div>
    <details>
      <summary>Paste it instead</summary>
      <form class="stack" @submit=${pasted}>
        <div class="field">
          <label for="${id}-text">The approval</label>
          <textarea id="${id}-text" name="approval" rows="4" required autocomplete="off" spellcheck="false"></textarea>
        </div>
        <button class="button">Add this signature</button>
      </form>
    </details>
  </div>`;
}
