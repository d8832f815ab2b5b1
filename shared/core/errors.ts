/**
 * The one error base of Tacit. Every failure that a person or another program can meet carries a stable code,
 * says what happened, where, and what to do about it.
 */
export class TacitError<Code extends string = string> extends Error {
  override readonly name: string = 'TacitError';
  /** Stable, upper-case, e.g. `PLAN_INVALID`. Each area exports a closed union of its codes. */
  readonly code: Code;
  /** File, field path, message name or peer the error is about. */
  readonly where: string | undefined;
  /** One imperative sentence: what the reader can do. */
  readonly fix: string | undefined;

  constructor(code: Code, what: string, options: { where?: string; fix?: string; cause?: unknown } = {}) {
    super(what, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.where = options.where;
    this.fix = options.fix;
  }

  /** `CODE: what (where). fix` — the sentence that every surface prints. */
  override toString(): string {
    const where = this.where === undefined ? '' : ` (${this.where})`;
    const fix = this.fix === undefined ? '' : ` ${this.fix}`;
    return `${this.code}: ${this.message}${where}.${fix}`;
  }

  toJSON(): { code: Code; what: string; where?: string; fix?: string } {
    return {
      code: this.code,
      what: this.message,
      ...(this.where === undefined ? {} : { where: this.where }),
      ...(this.fix === undefined ? {} : { fix: this.fix }),
    };
  }
}

/** The code of a TacitError, or undefined for anything else. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof TacitError ? error.code : undefined;
}
