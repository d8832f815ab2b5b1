/** The state of a page that is worth a link lives in the URL's fragment: `#run=r1&tab=metrics`. */
export function readFragment(hash: string = location.hash): URLSearchParams {
  return new URLSearchParams(hash.replace(/^#/, ''));
}

/** Link to this page with these parameters; `undefined` ones are left out. */
export function fragment(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) search.set(name, String(value));
  return `#${search.toString()}`;
}
