/** The part of html-to-text 10 that is used here; the package brings no types. */
declare module 'html-to-text' {
  export function compile(options: {
    wordwrap: false | number;
    limits?: { maxInputLength?: number; maxDepth?: number; maxChildNodes?: number };
    selectors?: readonly { selector: string; format?: string; options?: Record<string, unknown> }[];
  }): (html: string) => string;
}
