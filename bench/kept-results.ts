import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** Results of single runs by everything that decides them, in a file: a bench that was stopped goes on where it was. */
export class KeptResults<Result> {
  readonly #file: string;
  readonly #known = new Map<string, Result>();

  /** @param file one JSON object a line; begun when it is not there */
  constructor(file: string) {
    this.#file = file;
    if (!existsSync(file)) return;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      // A line that was being written when the bench was killed is no JSON, and its run is done again.
      try {
        const { key, result } = JSON.parse(line) as { key: string; result: Result };
        this.#known.set(key, result);
      } catch {}
    }
  }

  async get(decides: unknown, run: () => Promise<Result>): Promise<Result> {
    const key = createHash('sha256').update(JSON.stringify(decides)).digest('hex');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const result = await run();
    this.#known.set(key, result);
    appendFileSync(this.#file, `${JSON.stringify({ key, result })}\n`);
    return result;
  }
}
