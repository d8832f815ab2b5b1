/** The first name that occurs twice in one object of a valid JSON text, or undefined. `JSON.parse` would keep the last. */
export function repeatedKey(json: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\]]/gs;
  for (const { 0: text, index } of json.matchAll(token)) {
    if (text === '{') open.push(new Set());
    else if (text === '[') open.push(undefined);
    else if (text === '}' || text === ']') open.pop();
    else if (isName(json, index + text.length)) {
      const names = open.at(-1);
      const name = JSON.parse(text) as string;
      if (names?.has(name) === true) return name;
      names?.add(name);
    }
  }
  return undefined;
}

/** In valid JSON a string is a name exactly when a colon follows. */
function isName(json: string, at: number): boolean {
  let i = at;
  while (json[i] === ' ' || json[i] === '\n' || json[i] === '\r' || json[i] === '\t') i++;
  return json[i] === ':';
}
