import { sha256Hex } from '../core/hash.ts';
import type { BudgetAuthority } from './budget.ts';
import type { BundleFiles } from './bundle.ts';
import { type StatementKind, verifyStatement } from './statement.ts';

/** Something that does not hold, with both values. */
export interface VerifyFailure {
  /** The entry it is about, or null for the log as a whole. */
  readonly index: number | null;
  readonly code: string;
  readonly what: string;
  readonly expected: string;
  readonly actual: string;
}

/** What an entry is checked against besides the entries before it. */
export interface EntryContext {
  readonly origin: string;
  readonly files: BundleFiles;
  readonly authority: BudgetAuthority;
  readonly leafHash: (index: number) => Uint8Array;
}

/** What was found so far, and at which entry the verification stands. */
export class Findings {
  readonly failures: VerifyFailure[] = [];
  /** What could not be checked, and why. */
  readonly unchecked: string[] = [];
  /** Facts that an auditor should read. */
  readonly notes: string[] = [];
  readonly #context: EntryContext;
  index = 0;

  constructor(context: EntryContext) {
    this.#context = context;
  }

  fail(code: string, what: string, expected: string, actual: string, index: number = this.index): void {
    this.failures.push({ index, code, what, expected, actual });
  }

  note(what: string): void {
    this.notes.push(`entry ${this.index}: ${what}`);
  }

  /** A statement's signature under the key that the entry names; whose key that is, the roster decides. */
  signed(kind: StatementKind, document: unknown, publicKey: string, signature: string, who: string): void {
    if (verifyStatement(kind, document, publicKey, signature)) return;
    this.fail(
      'SIGNATURE_WRONG',
      `the ${kind} signature of ${who} does not verify`,
      'a signature by the key in the entry',
      signature,
    );
  }

  /** A document that entries name by its hash: `folder/<hash>.json`. Undefined, and noted, when the bundle lacks it. */
  document(folder: string, hash: string): { readonly bytes: Uint8Array; readonly sha256: string } | undefined {
    const path = `${folder}/${hash}.json`;
    const bytes = this.#context.files.get(path);
    if (bytes !== undefined) return { bytes, sha256: sha256Hex(bytes) };
    this.unchecked.push(`entry ${this.index}: ${path} is not in the bundle`);
    return undefined;
  }
}

/** After this many failures of one kind, only their number is told. */
const NAMED_PER_FAULT = 20;

/** What is found about a log as a whole. */
export class LogFindings {
  readonly failures: VerifyFailure[] = [];
  readonly unchecked: string[] = [];
  readonly notes: string[] = [];

  fail(index: number | null, code: string, what: string, expected: string, actual: string): void {
    const same = this.failures.filter((f) => f.code === code).length;
    if (same < NAMED_PER_FAULT) this.failures.push({ index, code, what, expected, actual });
    else if (same === NAMED_PER_FAULT)
      this.failures.push({ index, code, what: 'and more of the same', expected: '', actual: '' });
  }

  /** Runs a check that throws coded errors; an error becomes a failure about `path`, or undefined alone when it is null. */
  attempt<T>(path: string | null, body: () => T, index: number | null = null): T | undefined {
    try {
      return body();
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      if (code === undefined) throw error;
      if (path !== null) this.fail(index, code, `${path}: ${message}`, 'a valid one', 'this one');
      return undefined;
    }
  }
}
