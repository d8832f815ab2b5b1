import { LIMITS } from '../core/limits.ts';

/** One physical line. `dropped` says why it may not be used; its text is then only good for finding the next row. */
export interface Line {
  readonly number: number;
  readonly text: string;
  readonly dropped?: 'bad-utf8' | 'too-long';
}

const LF = 0x0a;
const CR = 0x0d;

/** Lines of a UTF-8 file (LF or CRLF, BOM skipped), each judged by itself: one bad line does not take the file with it. */
export function* lines(bytes: Uint8Array): Generator<Line> {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
  let start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  for (let number = 1; start < bytes.length; number++) {
    const newline = bytes.indexOf(LF, start);
    const next = newline === -1 ? bytes.length : newline;
    const content = bytes.subarray(start, next > start && bytes[next - 1] === CR ? next - 1 : next);
    start = next + 1;
    if (content.length > LIMITS.recordBytes) yield { number, text: '', dropped: 'too-long' };
    else {
      let text: string | undefined;
      try {
        text = strict.decode(content);
      } catch {
        text = undefined;
      }
      yield text === undefined ? { number, text: lossy.decode(content), dropped: 'bad-utf8' } : { number, text };
    }
  }
}
