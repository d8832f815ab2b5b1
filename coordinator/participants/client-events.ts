import { z } from 'zod';

/** Events of stream `clients`. Tokens are kept as hashes: the store cannot be used to join. */
export type ClientsEvent =
  | {
      readonly type: 'invited';
      readonly at: string;
      readonly run: string;
      readonly tokenHash: string;
      readonly organisation: string | null;
      readonly uses: number;
      readonly expiresAt: number;
    }
  | {
      readonly type: 'enrolled';
      readonly at: string;
      readonly run: string;
      readonly tokenHash: string;
      readonly clientId: string;
      readonly publicKey: string;
      readonly organisation: string;
    };

const text = z.string();
export const clientsEvent: z.ZodType<ClientsEvent> = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('invited'),
    at: text,
    run: text,
    tokenHash: text,
    organisation: text.nullable(),
    uses: z.number().int().min(1),
    expiresAt: z.number(),
  }),
  z.object({
    type: z.literal('enrolled'),
    at: text,
    run: text,
    tokenHash: text,
    clientId: text,
    publicKey: text,
    organisation: text,
  }),
]);
