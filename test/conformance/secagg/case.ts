/** One thing that the protocol asks of the other end. */
export interface Case<Lab> {
  /** Short and unique: `server/low-order-key`. */
  readonly name: string;
  /** What is done to the other end. */
  readonly what: string;
  /** What a conforming end does, in the words in which `run` tells what it did. */
  readonly expected: string;
  /** @returns what it did */
  run(lab: Lab): Promise<string>;
}

export interface CaseResult {
  readonly name: string;
  readonly what: string;
  readonly expected: string;
  readonly got: string;
  readonly passed: boolean;
}

/** One after the other; a case that breaks is a case that failed. */
export async function* runCases<Lab>(cases: readonly Case<Lab>[], lab: Lab): AsyncGenerator<CaseResult> {
  for (const { name, what, expected, run } of cases) {
    let got: string;
    try {
      got = await run(lab);
    } catch (error) {
      got = `the case broke: ${String(error)}`;
    }
    yield { name, what, expected, got, passed: got === expected };
  }
}

/** @throws Error after `timeoutMs` */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (const end = Date.now() + timeoutMs; ; ) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
