/** What a corpus' own making left in its mails, and a classifier must not learn. */
export interface CorpusMarks {
  /** Domains of the people who collected the mails; with all their subdomains. */
  readonly hosts: readonly string[];
  /** Words put in place of names. */
  readonly words: readonly string[];
}

const LINK = /(?:https?|ftp):\/\/[^\s<>"]+|\bwww\.[^\s<>"]+/gi;
// Bounded on both sides of the @: a long word without one would otherwise be scanned again from every letter.
const ADDRESS = /[\w.+=-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}/g;

/**
 * Subject and body as one line each: list tags, list footers, the `URL:` and `Date:` lines of feed mails and the
 * corpus' own marks taken out, links written `url`, addresses `email`, white space collapsed.
 */
export function cleanMail(subject: string, body: string, marks: CorpusMarks = { hosts: [], words: [] }): string {
  const taken = marksPattern(marks);
  const tidy = (text: string): string => {
    const general = text.replace(LINK, ' url ').replace(ADDRESS, ' email ');
    return (taken === undefined ? general : general.replace(taken, ' ')).replace(/\s+/g, ' ').trim();
  };
  return [tidy(withoutTags(subject)), tidy(withoutListLines(body))].filter((t) => t !== '').join('\n');
}

/** A text as it is: links written `url`, addresses `email`, white space collapsed. */
export function cleanText(text: string): string {
  return text.replace(LINK, ' url ').replace(ADDRESS, ' email ').replace(/\s+/g, ' ').trim();
}

function marksPattern({ hosts, words }: CorpusMarks): RegExp | undefined {
  const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const host = hosts.map((h) => `(?:[\\w-]{1,63}\\.){0,6}${literal(h)}`);
  const all = [...host, ...words.map(literal)];
  return all.length === 0 ? undefined : new RegExp(`\\b(?:${all.join('|')})\\b`, 'gi');
}

/** The subject without `[list]` tags. */
function withoutTags(subject: string): string {
  return subject.replace(/\[[^[\]]{1,60}\]/g, ' ');
}

/** Lines that mailing list software or a feed gateway wrote, judged without quotation marks in front. */
const LIST_LINES: readonly RegExp[] = [
  /\/listinfo\//i,
  /^\S{1,60} mailing list( <\S{1,100}>)?$/i,
  /^\S{1,60}@(lists\.sourceforge\.net|redhat\.com|lists\.\S{1,80})$/i,
  /^List maintainer:/i,
  /^Irish Linux Users' Group.{0,40}: \S{1,60}$/,
  /^To unsubscribe from this group, send an email to:$/,
  /^\S{1,60}-unsubscribe@\S{1,60}$/,
  /^Your use of Yahoo! Groups is subject to/,
  /DeathToSpamDeathToSpam/,
  /^(URL|Date):( |$)/,
];

/** A rule of dashes or underscores, which list software puts over its footer. */
const RULE = /^(_{20,}|-{20,}.*)$/;
/** First line of a footer under a rule. */
const SPONSOR = /^This sf\.net email is sponsored by/i;
const YAHOO = /^-{10,} Yahoo! Groups Sponsor/;
const FOOTER_LINES = 8;

function withoutListLines(body: string): string {
  const raw = body.split(/\r?\n/);
  const bare = raw.map((line) => line.replace(/^[>\s|]{1,40}/, '').trim());
  const isList = bare.map((line) => LIST_LINES.some((pattern) => pattern.test(line)));
  const out: string[] = [];
  for (let i = 0; i < raw.length; i++) {
    const end = footerEnd(bare, isList, i);
    if (end !== undefined) i = end;
    else if (!isList[i]) out.push(raw[i] as string);
  }
  return out.join('\n');
}

/** Index of the last line of a sponsor's block or of a rule that belongs to list lines, when line `at` begins one. */
function footerEnd(bare: readonly string[], isList: readonly boolean[], at: number): number | undefined {
  const line = bare[at] as string;
  if (!RULE.test(line)) return undefined;
  const last = Math.min(bare.length - 1, at + FOOTER_LINES);
  if (YAHOO.test(line)) {
    for (let i = at + 1; i <= last; i++) if (/~->$/.test(bare[i] as string)) return i;
  }
  if (SPONSOR.test(bare[at + 1] ?? '')) {
    let i = at + 1;
    while (i < last && bare[i + 1] !== '' && !RULE.test(bare[i + 1] as string)) i++;
    return i;
  }
  return isList[at + 1] ? at : undefined;
}
