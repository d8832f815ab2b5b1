/** Words after which a full stop seldom ends a sentence. */
const ABBREVIATIONS = new Set(
  (
    'mr mrs ms dr prof sr jr st gen col capt lt gov sen rep hon rev messrs no nos vol fig sec art ch pp ed eds etc vs ' +
    'e.g i.e cf al approx dept inc ltd co corp u.s u.k a.m p.m jan feb mar apr jun jul aug sept sep oct nov dec'
  ).split(' '),
);

const END = /[.!?]["')\]]*\s+(?=["'(]?[\p{Lu}\d])/gu;

/**
 * Sentences of one paragraph by rule: a full stop, exclamation or question mark (with closing quotes) before a capital
 * or a digit, unless the word before it is an abbreviation or an initial. The same on every machine, which a
 * platform's segmenter is not.
 */
export function splitSentences(paragraph: string): string[] {
  const out: string[] = [];
  let start = 0;
  for (const match of paragraph.matchAll(END)) {
    if (paragraph[match.index] === '.' && isAbbreviation(paragraph, match.index)) continue;
    const end = match.index + match[0].length;
    out.push(paragraph.slice(start, end).trimEnd());
    start = end;
  }
  const rest = paragraph.slice(start).trim();
  if (rest !== '') out.push(rest);
  return out;
}

/** Looks at most 12 characters back: no abbreviation is longer. */
function isAbbreviation(text: string, stop: number): boolean {
  const word = /[\p{L}.]+$/u.exec(text.slice(Math.max(0, stop - 12), stop))?.[0].toLowerCase();
  return word !== undefined && (word.length === 1 || ABBREVIATIONS.has(word));
}

/**
 * Documents of a corpus text, each a list of sentences: a paragraph a line, an empty line between documents.
 */
export function splitDocuments(text: string): string[][] {
  return text
    .split(/\r?\n[ \t]*(?:\r?\n)+/)
    .map((document) => document.split('\n').flatMap((line) => splitSentences(line.trim())))
    .filter((sentences) => sentences.length > 0);
}
