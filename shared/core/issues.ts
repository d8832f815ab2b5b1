/** What a schema says about one field of a document. */
interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** `privacy.epsilon: is missing`: the field by its path, and what is wrong with it, for whoever wrote the document. */
export function issueInWords({ path, message }: Issue): string {
  const field = path.length === 0 ? '(top)' : path.map(String).join('.');
  return `${field}: ${wordsOf(message)}`;
}

/** A person left the word out; that its value is `undefined` is ours to know. */
function wordsOf(message: string): string {
  if (/received undefined$/.test(message)) return 'is missing';
  const choices = /^Invalid discriminator value\. Expected (.+)$/.exec(message)?.[1];
  return choices === undefined
    ? message.replace(/^Invalid input: /, '')
    : `is missing or not one of ${choices.replaceAll(' | ', ', ')}`;
}
