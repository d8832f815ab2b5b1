import { compile } from 'html-to-text';
import PostalMime, { type Address, type Email } from 'postal-mime';
import { TacitError } from '../core/errors.ts';
import { LIMITS } from '../core/limits.ts';
import type { TextErrorCode } from './errors.ts';

/** What is read of a message. Only `subject` and `body` become text; the rest groups threads and senders. */
export interface Mail {
  readonly subject: string;
  /** The plain text part, or the HTML part as text. */
  readonly body: string;
  /** Lower-case address, empty when there is none. */
  readonly sender: string;
  readonly messageId: string;
  /** Message ids of the mails that this one answers. */
  readonly references: readonly string[];
  /** `List-Id` header's identifier, empty for mail of no list. */
  readonly list: string;
}

const htmlToText = compile({
  wordwrap: false,
  limits: { maxInputLength: LIMITS.recordBytes, maxDepth: 200 },
  selectors: [
    { selector: 'a', options: { ignoreHref: true } },
    { selector: 'img', format: 'skip' },
    { selector: 'h1', options: { uppercase: false } },
    { selector: 'h2', options: { uppercase: false } },
    { selector: 'h3', options: { uppercase: false } },
    { selector: 'table', options: { uppercaseHeaderCells: false } },
  ],
});

/**
 * Reads an Internet message (RFC 5322, MIME).
 * @throws MAIL_INVALID for what no parser accepts (nested or headed without end)
 */
export async function parseMail(bytes: Uint8Array): Promise<Mail> {
  let email: Email;
  try {
    email = await PostalMime.parse(withoutEnvelope(bytes), { maxNestingDepth: 50 });
  } catch (cause) {
    throw new TacitError<TextErrorCode>('MAIL_INVALID', 'the message is not readable as MIME', { cause });
  }
  const header = (key: string): string => email.headers.find((h) => h.key === key)?.value ?? '';
  return {
    subject: email.subject ?? '',
    body: bodyOf(email.text ?? '', email.html ?? ''),
    sender: addressOf(email.from).toLowerCase(),
    messageId: email.messageId ?? '',
    references: messageIds(`${email.inReplyTo ?? ''} ${email.references ?? ''}`),
    list: /<([^<>]{1,200})>/.exec(header('list-id'))?.[1] ?? '',
  };
}

/** The plain part, unless it is missing or is HTML that was sent as plain text. */
function bodyOf(plain: string, html: string): string {
  if (plain.trim() === '') return htmlToText(html);
  return /<html|<body|<!doctype html/i.test(plain.slice(0, 2000)) ? htmlToText(plain) : plain;
}

/** A mailbox file begins with `From address date`, which is no header. */
function withoutEnvelope(bytes: Uint8Array): Uint8Array {
  const envelope = [0x46, 0x72, 0x6f, 0x6d, 0x20];
  return envelope.every((b, i) => bytes[i] === b) ? bytes.subarray(bytes.indexOf(0x0a) + 1) : bytes;
}

function addressOf(address: Address | undefined): string {
  if (address === undefined) return '';
  return address.group === undefined ? address.address : (address.group[0]?.address ?? '');
}

function messageIds(text: string): string[] {
  return [...new Set(text.match(/<[^<>\s]{1,250}>/g) ?? [])];
}
