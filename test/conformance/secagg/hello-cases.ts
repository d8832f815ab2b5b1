import { base64 } from '../../../shared/core/bytes.ts';
import { errorCode } from '../../../shared/core/errors.ts';
import { systemRng } from '../../../shared/core/rng.ts';
import { signerFromSeed } from '../../../shared/core/signing.ts';
import { openTransport, type ParticipantTransport } from '../../../shared/participant/transport.ts';
import { parseJoinCode } from '../../../shared/protocol/join-code.ts';
import {
  type Challenge,
  challengeSchema,
  type Hello,
  helloContext,
  PROTOCOL_VERSION,
  withSignature,
} from '../../../shared/protocol/messages.ts';
import { type Case, eventually } from './case.ts';
import { bytes32 } from './seat.ts';
import type { ServerLab } from './server-lab.ts';

type Body = Omit<Hello, 'signature'>;

/** What a client says first. */
interface Greeting {
  readonly challenge: Challenge;
  readonly body: Body;
  readonly wire: ParticipantTransport;
  /** Signs as a client does; says it. */
  hello(body: Body, challenge?: Challenge): Promise<unknown>;
}

const greeting = (
  name: string,
  what: string,
  expected: string,
  say: (greeting: Greeting) => Promise<unknown>,
): Case<ServerLab> => ({
  name: `server/${name}`,
  what,
  expected,
  run: async (lab) => {
    const { id, link } = await lab.createRun();
    const code = parseJoinCode(link);
    const wire = openTransport(code.url);
    try {
      let first: unknown;
      wire.open((incoming) => {
        if (incoming.kind === 'message' && incoming.name === 'challenge') first = incoming.payload;
      });
      const challenge = challengeSchema.parse(await eventually('the challenge', 20_000, () => first));
      const signer = signerFromSeed(systemRng.bytes(32));
      const { publicKey } = signer;
      const body = {
        protocol: PROTOCOL_VERSION,
        publicKey: base64(publicKey),
        token: code.token,
        organisation: name,
        seen: 0,
      };
      const hello = (said: Body, over = challenge): Promise<unknown> => {
        const { signature } = withSignature('hello', helloContext(said, over), signer) as { signature: string };
        return wire.request('hello', { ...said, signature });
      };
      return await say({ challenge, body, wire, hello }).then(
        () => 'welcome',
        (error: unknown) => errorCode(error) ?? String(error),
      );
    } finally {
      wire.close();
      await lab.stopRun(id);
    }
  },
});

/** The connection before a session: who may speak at all. */
export const HELLO_CASES: readonly Case<ServerLab>[] = [
  greeting('hello', 'a good hello', 'welcome', ({ hello, body }) => hello(body)),
  greeting('hello-version', 'another protocol version', 'PROTOCOL_VERSION', ({ hello, body }) =>
    hello({ ...body, protocol: 'tacit/0' }),
  ),
  greeting(
    'hello-replayed',
    'a hello that was signed on another connection',
    'SIGNATURE_INVALID',
    ({ hello, body, challenge }) => hello(body, { ...challenge, nonce: bytes32(1) }),
  ),
  greeting(
    'hello-relayed',
    'a hello that was signed for another coordinator',
    'SIGNATURE_INVALID',
    ({ hello, body, challenge }) => hello(body, { ...challenge, publicKey: bytes32(1) }),
  ),
  greeting('hello-uninvited', 'an invitation that there is not', 'INVITATION_UNKNOWN', ({ hello, body }) =>
    hello({ ...body, token: 'x'.repeat(32) }),
  ),
  greeting('hello-missing', 'a frame before the hello', 'NOT_AUTHORISED', ({ wire }) =>
    wire.request('secagg', { round: 1, attempt: 1, name: 'advertise', signed: {} }),
  ),
  greeting('upload-without-session', 'a chunk under no session token', 'NOT_AUTHORISED', ({ wire }) =>
    wire.putChunk(
      '/api/v1/runs/run/rounds/1.1/uploads/0',
      new Uint8Array(4),
      'nobody',
      new AbortController().signal,
      '0'.repeat(64),
    ),
  ),
];
