import { equalBytes } from '../../shared/core/bytes.ts';
import { type Open, type Opened, openSigned, type Signed } from '../../shared/secagg/messages.ts';

interface Known {
  readonly name: string;
  readonly signature: string;
  readonly key: Uint8Array;
  readonly opened: Opened<'config'>;
}

/**
 * The real thing, once for each message: thousands of clients in one process are sent the same list of keys. A body that
 * was opened is frozen to its depths, so that the same object is the same bytes; name, signature and the key of the sender are
 * compared each time.
 */
export function openOnce(): Open {
  const known = new WeakMap<object, Known>();
  return (name, message, keyOf) => {
    const { body, signature } = message as Signed;
    const before = known.get(body as object);
    if (before !== undefined && before.name === name && before.signature === signature) {
      const opened = before.opened as unknown as Opened<typeof name>;
      if (Object.keys(message as object).length === 2 && equalBytes(keyOf(opened.body), before.key)) return opened;
    }
    let key: Uint8Array | undefined;
    const opened = openSigned(name, message, (of) => {
      key = keyOf(of);
      return key;
    });
    frozen(body);
    frozen(opened);
    const plain = opened as unknown as Opened<'config'>;
    known.set(body as object, { name, signature, key: (key as unknown as Uint8Array).slice(), opened: plain });
    return opened;
  };
}

function frozen(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const field of Object.values(value)) frozen(field);
}
