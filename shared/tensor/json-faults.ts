/**
 * What `JSON.parse` passes over in silence, in a valid JSON text: a name that occurs twice in one object (it keeps the
 * last), a number that is not written as a whole one of at least 0, half a surrogate pair. Undefined where there is none.
 */
export function jsonFault(json: string): string | undefined {
  /** Names so far of each open object; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < json.length; i++) {
    const c = json[i] as string;
    if (c === '{') open.push(new Set());
    else if (c === '[') open.push(undefined);
    else if (c === '}' || c === ']') open.pop();
    else if (c === '-' || c === '.' || (c === 'e' && isDigit(json[i - 1])) || c === 'E')
      return 'a number is not written as a whole one of at least 0';
    else if (c === '"') {
      const end = stringEnd(json, i);
      const text = JSON.parse(json.slice(i, end + 1)) as string;
      i = end;
      if (!isUnicode(text)) return 'a text has half a character';
      if (!isName(json, end + 1)) continue;
      const names = open.at(-1);
      if (names?.has(text) === true) return `the name ${JSON.stringify(text.slice(0, 200))} occurs twice`;
      names?.add(text);
    }
  }
  return undefined;
}

/** Index of the quotation mark that ends the string which begins at `start`. */
function stringEnd(json: string, start: number): number {
  for (let i = start + 1; ; i++) {
    i = json.indexOf('"', i);
    let escapes = 0;
    while (json[i - 1 - escapes] === '\\') escapes++;
    if (escapes % 2 === 0) return i;
  }
}

/** In valid JSON a string is a name exactly when a colon follows. */
function isName(json: string, at: number): boolean {
  let i = at;
  while (json[i] === ' ' || json[i] === '\n' || json[i] === '\r' || json[i] === '\t') i++;
  return json[i] === ':';
}

const isDigit = (c: string | undefined): boolean => c !== undefined && c >= '0' && c <= '9';
const isUnicode = (text: string): boolean => !/\p{Surrogate}/u.test(text);
