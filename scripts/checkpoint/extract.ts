/// <reference path="../../shared/text/html-to-text.d.ts" />
import { compile } from 'html-to-text';

const htmlToText = compile({
  wordwrap: false,
  selectors: [
    { selector: 'a', options: { ignoreHref: true } },
    ...['img', 'pre', 'nav', 'header', 'aside', 'script', 'style', 'table', 'form', 'button'].map((selector) => ({
      selector,
      format: 'skip',
    })),
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map((selector) => ({ selector, options: { uppercase: false } })),
  ],
});

/** A manual page's paragraphs, without code, tables and navigation; boilerplate lines are removed later, by counting. */
export function htmlToParagraphs(html: string): string[] {
  return unwrapParagraphs(htmlToText(html).replaceAll('¶', ''));
}

/** Paragraphs are parted by empty lines; lines within one are joined. */
export function unwrapParagraphs(text: string): string[] {
  return text
    .replaceAll('\r', '')
    .split(/\n\s*\n/)
    .map((p) => p.replace(/\s+/g, ' ').trim())
    .filter((p) => p !== '');
}

/** GNU Info: nodes are parted by U+001F; a node's first line is navigation, its menu is left out. One document for each node. */
export function infoToParagraphs(info: string): string[][] {
  return info
    .split('\u001f')
    .slice(1)
    .map((node) => unwrapParagraphs(node.split('\n').slice(2).join('\n')).filter((p) => !p.startsWith('* ')))
    .filter((paragraphs) => paragraphs.length > 0);
}

/** Perl's Pod: commands (`=head1 …`) and indented code left out, `C<code>` and the like read as their content. */
export function podToParagraphs(pod: string): string[] {
  const prose = pod
    .replaceAll('\r', '')
    .split(/\n\s*\n/)
    .filter((p) => !/^(=|[ \t])/.test(p))
    .map(withoutPodCodes)
    .join('\n\n');
  return unwrapParagraphs(prose);
}

const POD_ESCAPES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', sol: '/', verbar: '|' };

/** Innermost first, so that `B<C<x>>` is `x`; `L<text|target>` is its text, `X<index entry>` nothing. */
function withoutPodCodes(paragraph: string): string {
  let text = paragraph.replace(/([A-Z])<<+\s(.*?)\s>>+/gs, '$2');
  for (let before = ''; before !== text; ) {
    before = text;
    text = text.replace(/([A-Z])<([^<>]*)>/g, (_, code: string, content: string) => {
      if (code === 'E') return POD_ESCAPES[content]?.replace(/[<>]/, ' ') ?? ' ';
      if (code === 'X' || code === 'Z') return '';
      return code === 'L' ? (content.split('|')[0] as string) : content;
    });
  }
  return text;
}
