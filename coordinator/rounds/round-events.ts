import { z } from 'zod';
import { CLIENT_MESSAGES, type SecaggConfig } from '../../shared/secagg/messages.ts';
import { PHASES, type ServerEvent } from '../../shared/secagg/server-state.ts';
import { holding } from '../../shared/store/log.ts';

/** Stream `round/<run>/<round>.<attempt>`: the configuration first, then what happened. */
export type RoundEvent =
  | {
      readonly type: 'opened';
      readonly at: number;
      readonly config: SecaggConfig;
      readonly roster: readonly { clientId: string; publicKey: string }[];
    }
  /** A piece of a client's upload is durable. `sha256` is of the piece as it came, `blob` names what is stored of it. */
  | {
      readonly type: 'chunk';
      readonly clientId: string;
      readonly index: number;
      readonly sha256: string;
      readonly blob: string;
    }
  | { readonly type: 'event'; readonly at: number; readonly event: ServerEvent };

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const clientMessage = z.enum(CLIENT_MESSAGES).exclude(['masked']);
/** What clients sent is checked by its signature each time it is heard, also when it is heard again. */
export const roundEvent: z.ZodType<RoundEvent> = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('opened'),
    at: z.number(),
    config: holding<SecaggConfig>({
      run: z.string(),
      round: z.number().int(),
      attempt: z.number().int(),
      dimension: z.number().int().min(1),
      chunkBytes: z.number().int().min(4),
      threshold: z.number().int().min(1),
      deadlines: z.looseObject({ advertiseMs: z.number() }),
    }),
    roster: z.array(z.object({ clientId: z.string(), publicKey: z.base64().length(44) })),
  }),
  z.object({
    type: z.literal('chunk'),
    clientId: z.string(),
    index: z.number().int().min(0),
    sha256: hash,
    blob: hash,
  }),
  z.object({
    type: z.literal('event'),
    at: z.number(),
    event: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('message'), from: z.string(), name: clientMessage, signed: z.unknown() }),
      z.object({ kind: z.literal('uploaded'), from: z.string(), manifest: z.unknown() }),
      z.object({ kind: z.literal('deadline'), phase: z.enum(PHASES) }),
      z.object({ kind: z.literal('gone'), from: z.string() }),
    ]),
  }),
]);
