import { TacitError } from '../shared/core/errors.ts';
import { readYamlFile } from '../shared/node/documents.ts';
import { type Policy, parsePolicy } from '../shared/participant/policy.ts';
import type { ProtocolErrorCode } from '../shared/protocol/errors.ts';

/** Far more than a policy needs. */
const POLICY_BYTES = 64 << 10;

/**
 * A site's own rules from its own disk. No flag, no file, no rule: nothing is sent.
 * @throws POLICY_MISSING, POLICY_INVALID, DOCUMENT_INVALID, FILE_UNREADABLE
 */
export async function readPolicy(path: string | undefined): Promise<Policy> {
  if (path === undefined) throw missing('no policy was given, and absent means refuse', undefined);
  try {
    return parsePolicy(await readYamlFile(path, POLICY_BYTES), path);
  } catch (error) {
    if (error instanceof TacitError && error.code === 'FILE_MISSING')
      throw missing('there is no policy file, and absent means refuse', path);
    throw error;
  }
}

function missing(what: string, where: string | undefined): TacitError<ProtocolErrorCode> {
  return new TacitError<ProtocolErrorCode>('POLICY_MISSING', what, {
    ...(where === undefined ? {} : { where }),
    fix: 'Write your rules into a file and pass it with --policy; docs/POLICY.md has an example.',
  });
}
