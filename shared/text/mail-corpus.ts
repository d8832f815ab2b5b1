import { seededRng } from '../core/rng.ts';
import { type CorpusMarks, cleanMail } from './clean.ts';
import { findDuplicates } from './duplicates.ts';
import { DROP_AT, GROUP_AT } from './hold-out.ts';
import { type Mail, parseMail } from './mail.ts';
import type { TextRecord } from './record.ts';
import { type DataReport, ReportBuilder } from './report.ts';
import { groupsOf, type Split, shareOut, splitGroups } from './split.ts';

/** A mail as a corpus delivers it. */
export interface LabelledMail {
  /** File name, for ids and the report. */
  readonly source: string;
  readonly bytes: Uint8Array;
  readonly label: string;
}

export interface Organisation {
  readonly organisation: string;
  readonly records: TextRecord[];
}

export interface PreparedMail {
  /** Disjoint; each holds whole lists and sender domains. */
  readonly silos: Organisation[];
  /** With it the coordinator chooses a round. */
  readonly validation: TextRecord[];
  /** Reported, and never chosen on. */
  readonly test: TextRecord[];
  readonly report: DataReport & {
    /** Groups of threads and similar mails that no split divides. */
    readonly groups: number;
    readonly largestGroup: number;
    /** Dropped near duplicates whose label differs from the kept one's. */
    readonly conflicts: number;
    /** Ids of test mails whose sender wrote no mail of any silo. */
    readonly unseenSenders: ReadonlySet<string>;
  };
}

export interface SplitOptions {
  /** The split's seed. Cleaning and duplicates do not depend on it. */
  readonly seed: number | string;
  readonly organisations: readonly { readonly name: string; readonly share: number }[];
  /** Of all kept mails, for validation and test each. */
  readonly heldOut: number;
}

/** A corpus read, cleaned and free of duplicates, ready to be split. */
export interface MailCorpus {
  readonly kept: readonly Kept[];
  /** Group of each kept mail: threads and similar mails. */
  readonly groupOf: Int32Array;
  readonly report: DataReport;
  readonly conflicts: number;
}

interface Kept {
  readonly record: TextRecord;
  readonly mail: Mail;
}

/** Mails → clean records without duplicates; docs/DATA.md says what is taken out and why. Deterministic. */
export async function readMailCorpus(mails: Iterable<LabelledMail>, marks: CorpusMarks): Promise<MailCorpus> {
  const report = new ReportBuilder();
  const read = await readAll(mails, marks, report);
  const { kept, similar, conflicts } = withoutDuplicates(read, report);
  return { kept, groupOf: groupsOf(kept.length, [...similar, ...threads(kept)]), report: report.finish(), conflicts };
}

/** Splits a corpus so that no thread and no pair of similar mails lies on both sides. The same seed gives the same split everywhere. */
export function splitMailCorpus(corpus: MailCorpus, options: SplitOptions): PreparedMail {
  const { kept, groupOf } = corpus;
  const split = splitGroups(groupOf, options.heldOut, seededRng(`mail split ${options.seed}`));
  const pick = (indices: readonly number[]): TextRecord[] => indices.map((i) => (kept[i] as Kept).record);
  const origins = split.train.map((i) => originOf((kept[groupOf[i] as number] as Kept).mail));
  const shares = shareOut(
    origins,
    options.organisations.map((o) => o.share),
  );
  return {
    silos: options.organisations.map(({ name }, s) => ({
      organisation: name,
      records: pick((shares[s] as number[]).map((i) => split.train[i] as number)),
    })),
    validation: pick(split.validation),
    test: pick(split.test),
    report: {
      ...corpus.report,
      conflicts: corpus.conflicts,
      ...groupSizes(groupOf),
      unseenSenders: unseenSenders(kept, split),
    },
  };
}

function groupSizes(groupOf: Int32Array): { groups: number; largestGroup: number } {
  const sizes = new Map<number, number>();
  for (const group of groupOf) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  return { groups: sizes.size, largestGroup: Math.max(0, ...sizes.values()) };
}

function unseenSenders(kept: readonly Kept[], split: Split): Set<string> {
  const seen = new Set(split.train.map((i) => (kept[i] as Kept).mail.sender));
  const unseen = split.test.map((i) => kept[i] as Kept).filter((k) => !seen.has(k.mail.sender));
  return new Set(unseen.map((k) => k.record.id));
}

async function readAll(mails: Iterable<LabelledMail>, marks: CorpusMarks, report: ReportBuilder): Promise<Kept[]> {
  const out: Kept[] = [];
  for (const { source, bytes, label } of mails) {
    const mail = await parseMail(bytes).catch(() => undefined);
    const text = mail === undefined ? '' : cleanMail(mail.subject, mail.body, marks);
    if (mail === undefined) report.drop('unreadable', source, 1);
    else if (text === '') report.drop('empty-text', source, 1);
    else out.push({ mail, record: { id: source, text, label } });
  }
  return out;
}

function withoutDuplicates(
  read: readonly Kept[],
  report: ReportBuilder,
): { kept: Kept[]; similar: [number, number][]; conflicts: number } {
  const { repeats, exact, similar } = findDuplicates(
    read.map((r) => r.record.text),
    { dropAt: DROP_AT, groupAt: GROUP_AT },
  );
  const kept: Kept[] = [];
  const place = new Int32Array(read.length).fill(-1);
  let conflicts = 0;
  for (const [i, item] of read.entries()) {
    const earlier = repeats[i] as number;
    if (earlier === -1) {
      place[i] = kept.push(item) - 1;
      report.keep(item.record, [item.record.label]);
    } else {
      report.drop(exact[i] === 1 ? 'duplicate' : 'near-duplicate', item.record.id, 1);
      if ((read[earlier] as Kept).record.label !== item.record.label) conflicts++;
    }
  }
  return { kept, similar: similar.map(([a, b]) => [place[a] as number, place[b] as number]), conflicts };
}

/** Pairs that lie in one conversation: an answer and what it answers, or the same subject but for `Re:` and tags. */
function threads(kept: readonly Kept[]): [number, number][] {
  const pairs: [number, number][] = [];
  const firstOf = new Map<string, number>();
  kept.forEach(({ mail }, i) => {
    const subject = mail.subject
      .toLowerCase()
      .replace(/\[[^[\]]{1,60}\]|\b(?:re|fwd?|aw)\s*:/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
    const keys = [mail.messageId, ...mail.references, subject === '' ? '' : `subject ${subject}`];
    for (const key of keys.filter((k) => k !== '')) {
      const first = firstOf.get(key);
      if (first === undefined) firstOf.set(key, i);
      else pairs.push([first, i]);
    }
  });
  return pairs;
}

function originOf(mail: Mail): string {
  return mail.list !== '' ? mail.list : mail.sender.slice(mail.sender.lastIndexOf('@') + 1);
}
