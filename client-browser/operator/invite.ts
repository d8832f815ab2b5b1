import { html, nothing, type TemplateResult } from 'lit';
import { confirmDialog, openDialog } from '../components/confirm.ts';
import { operatorToken, operatorTokenField } from './overview.ts';

export interface InvitationRequest {
  readonly organisation?: string;
}

/** One link, one seat, one day. @param link - the last one that was made for this run */
export function invitations(
  link: string | null,
  invite: (request: InvitationRequest, token: string) => void,
): TemplateResult {
  const asked = (form: HTMLFormElement): void => {
    const organisation = String(new FormData(form).get('organisation') ?? '').trim();
    invite(organisation === '' ? {} : { organisation }, operatorToken(form));
  };
  return html`<section class="panel stack" aria-labelledby="invite-title">
    <h2 id="invite-title">Invite</h2>
    <p>A link opens one seat and is valid for a day. It carries the fingerprint of this coordinator’s key, so send it over a channel that the receiver trusts.</p>
    ${
      link === null
        ? nothing
        : html`<div class="field field-wide">
            <label for="invitation">Link for one participant</label>
            <input type="text" id="invitation" class="mono" readonly .value=${link} @focus=${(e: FocusEvent) => (e.target as HTMLInputElement).select()} />
          </div>`
    }
    <p><button class="button" @click=${() => openDialog('invite')}>${link === null ? 'Make a link' : 'Make another link'}</button></p>
    ${confirmDialog({
      id: 'invite',
      title: 'Make an invitation link?',
      confirm: 'Make the link',
      body: html`<div class="field">
          <label for="invite-organisation">Organisation</label>
          <input type="text" id="invite-organisation" name="organisation" maxlength="100" autocomplete="off" aria-describedby="invite-hint" />
          <span class="hint" id="invite-hint">Whose seat it is. Left empty, the participant says.</span>
        </div>
        ${operatorTokenField('invite-token')}`,
      onConfirm: asked,
    })}
  </section>`;
}
