import type * as signing from '../../shared/core/signing.ts';

/** The real module, verifying each signature once: many clients in one process check the same ones. For `vi.mock`. */
export function memoSigning(real: typeof signing): typeof signing {
  const known = new Map<string, boolean>();
  const verifySignature: typeof signing.verifySignature = (...parts) => {
    const key = parts.map((part) => Buffer.from(part).toString('base64')).join();
    const verdict = known.get(key) ?? real.verifySignature(...parts);
    known.set(key, verdict);
    return verdict;
  };
  return { ...real, verifySignature };
}
