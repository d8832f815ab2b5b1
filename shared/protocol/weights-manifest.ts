import { z } from 'zod';
import { fromUtf8 } from '../core/bytes.ts';
import { canonicalBytes } from '../core/canonical.ts';
import { parseMessage } from './messages.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const schema = z.strictObject({
  /** safetensors files on top of the starting model, oldest first: what earlier stages brought, and new adapters. */
  overlays: z.array(hash).max(20),
  /** The flat trainable vector of this round (float32, little-endian). */
  trainable: hash,
});

/** Names every byte of the global weights of one round. Its own SHA-256 is `weightsSha256` of the session, so it is in every key. */
export type WeightsManifest = z.output<typeof schema>;

export function encodeWeightsManifest(manifest: WeightsManifest): Uint8Array {
  return canonicalBytes(manifest);
}

/** @throws MESSAGE_INVALID, BYTES_INVALID */
export function decodeWeightsManifest(bytes: Uint8Array): WeightsManifest {
  let document: unknown;
  try {
    document = JSON.parse(fromUtf8(bytes));
  } catch {
    document = undefined;
  }
  return parseMessage(schema, document, 'weights manifest');
}
