import { html, nothing, type TemplateResult } from 'lit';
import { z } from 'zod';
import { changedApprovers } from '../../shared/ledger/approver-change.ts';
import type { ApproverChange } from '../../shared/ledger/entries.ts';
import type { PolicyView } from '../../shared/protocol/views.ts';
import { notice } from '../components/badge.ts';
import { PageElement } from '../components/element.ts';
import { operatorTokenField } from './overview.ts';

type Person = ApproverChange['approvers'][number];
const person = z.strictObject({ name: z.string().min(1).max(200), publicKey: z.base64().length(44) });
/** A public key with a name is a hundred bytes. */
const FILE_BYTES = 16 << 10;

export interface ApproversProposed {
  readonly change: ApproverChange;
  readonly token: string;
}

/** Who is in office, who leaves, and the public keys of those who join: the new list is proposed whole. */
export class TacitApproversForm extends PageElement {
  static override properties = {
    policy: { attribute: false },
    answer: { attribute: false },
    leaving: { state: true },
    joining: { state: true },
    problem: { state: true },
  };
  declare policy: PolicyView;
  /** What became of the last list proposed here. */
  declare answer: TemplateResult | null;
  declare leaving: ReadonlySet<string>;
  declare joining: readonly Person[];
  declare problem: string | null;

  constructor() {
    super();
    this.answer = null;
    this.leaving = new Set();
    this.joining = [];
    this.problem = null;
  }

  override render(): TemplateResult {
    const { approvers } = this.policy;
    const first = approvers.length === 0;
    return html`<section class="panel stack" aria-labelledby="approvers-title">
      <h2 id="approvers-title">${first ? 'Name the approvers' : 'Propose other approvers'}</h2>
      <p>${
        first
          ? 'The first list is the operator’s and takes effect at once. From then on only approvers in office change it. Name three or more: with two, a lost key cannot be replaced.'
          : 'Somebody joins, leaves, or gets another key because the old one was lost. Two approvers in office sign the whole new list.'
      }</p>
      <div role="status">${this.answer ?? nothing}</div>
      ${this.problem === null ? nothing : notice('bad', this.problem, 'Ask them for what "tacit approver key" printed.', true)}
      <form class="stack" @submit=${this.submitted}>
        ${first ? nothing : this.inOffice(approvers)}
        ${this.joiners()}
        <div class="grid-fields">
          <div class="field">
            <label for="approvers-add">Public keys of those who join</label>
            <input type="file" id="approvers-add" multiple accept=".json,application/json" aria-describedby="approvers-add-hint" @change=${this.chosen} />
            <span class="hint" id="approvers-add-hint">what <code>tacit approver key</code> printed for each; the same name gets the new key</span>
          </div>
          ${operatorTokenField('approvers-token')}
        </div>
        <p><button class="button button-main" ?disabled=${this.leaving.size + this.joining.length === 0}>${first ? 'Put them in office' : 'Propose this list'}</button></p>
      </form>
    </section>`;
  }

  private inOffice(approvers: readonly Person[]): TemplateResult {
    return html`<fieldset class="plain stack-tight">
      <legend class="label">Who leaves</legend>
      ${approvers.map(
        ({ name }) => html`<label class="check">
          <input type="checkbox" .checked=${this.leaving.has(name)} @change=${() => this.toggle(name)} />
          <span>${name}</span>
        </label>`,
      )}
    </fieldset>`;
  }

  private joiners(): TemplateResult | typeof nothing {
    if (this.joining.length === 0) return nothing;
    return html`<div class="stack-tight">
      <h3>Who joins</h3>
      <ul class="stack-tight plain">
        ${this.joining.map(
          (p) => html`<li class="row">
            <span>${p.name}<br /><span class="hash">${p.publicKey}</span></span>
            <button type="button" class="button button-small" aria-label="Leave out ${p.name}" @click=${() => this.drop(p)}>Leave out</button>
          </li>`,
        )}
      </ul>
    </div>`;
  }

  private toggle(name: string): void {
    const leaving = new Set(this.leaving);
    if (!leaving.delete(name)) leaving.add(name);
    this.leaving = leaving;
  }

  private drop({ name }: Person): void {
    this.joining = this.joining.filter((p) => p.name !== name);
  }

  private readonly chosen = async (event: Event): Promise<void> => {
    const input = event.target as HTMLInputElement;
    this.problem = null;
    for (const file of [...(input.files ?? [])]) {
      const read = await readPerson(file);
      if (read === undefined) this.problem = `${file.name} is not a public key with a name.`;
      else this.joining = [...this.joining.filter((p) => p.name !== read.name), read];
    }
    input.value = '';
  };

  private readonly submitted = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const token = String(new FormData(form).get('token') ?? '');
    const { approvers, revision } = this.policy;
    const state = { approvers: [...approvers], approverRevision: revision };
    const change = changedApprovers(state, this.joining, [...this.leaving]);
    form.reset();
    this.leaving = new Set();
    this.joining = [];
    this.dispatchEvent(new CustomEvent<ApproversProposed>('propose', { detail: { change, token } }));
  };
}

customElements.define('tacit-approvers-form', TacitApproversForm);

async function readPerson(file: File): Promise<Person | undefined> {
  if (file.size > FILE_BYTES) return undefined;
  try {
    return person.safeParse(JSON.parse(await file.text())).data;
  } catch {
    return undefined;
  }
}
