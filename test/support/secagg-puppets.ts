import { base64, fromBase64, hex } from '../../shared/core/bytes.ts';
import { seededRng } from '../../shared/core/rng.ts';
import type { NoisedVector } from '../../shared/privacy/mechanism.ts';
import {
  type ClientEffect,
  type ClientRecord,
  type ClientState,
  clientReduce,
  startClient,
} from '../../shared/secagg/client.ts';
import { type KeyContext, pairMaskKey, selfMaskKey, sharedSecret } from '../../shared/secagg/keys.ts';
import { addStreams, applyMasks, chunkHashes, maskedBytes } from '../../shared/secagg/mask.ts';
import {
  type ClientMessageName,
  type MessageBody,
  type RosterEntry,
  type SecaggConfig,
  type ServerMessageName,
  type Signed,
  sessionOf,
  sidOf,
  signMessage,
} from '../../shared/secagg/messages.ts';
import { combineShares } from '../../shared/secagg/shamir.ts';
import { identity, noisedVector, rosterOf, serverSigner } from './secagg-session.ts';

/** Honest clients in the hands of a server that says what it likes, under its true signature. */

interface Puppet {
  state: ClientState;
  readonly config: SecaggConfig;
  readonly noised: NoisedVector;
  /** What is under the masks. */
  readonly input: Uint32Array;
  upload: Uint32Array | undefined;
  code: string | undefined;
  record: ClientRecord | undefined;
  readonly said: Map<ClientMessageName, Signed>;
}

interface StartOptions {
  readonly roster?: readonly RosterEntry[];
  readonly last?: ClientRecord | undefined;
  readonly seed?: string;
}

export class Puppets {
  readonly clients = new Map<string, Puppet>();

  async start(id: string, config: SecaggConfig, options: StartOptions = {}): Promise<void> {
    const { roster = rosterOf(config.cohort), seed = 'puppet', last } = options;
    const step = startClient({
      clientId: id,
      signer: identity(id),
      serverPublicKey: serverSigner.publicKey,
      roster,
      config: signMessage('config', config, serverSigner),
      rng: seededRng(`${seed}/${id}`),
      last,
    });
    const noised = noisedVector(`${seed}/input/${id}`, config.dimension);
    const input = noised.values.slice();
    const puppet: Puppet = {
      state: step.state,
      config,
      noised,
      input,
      upload: undefined,
      code: undefined,
      record: undefined,
      said: new Map(),
    };
    this.clients.set(id, puppet);
    await this.effects(puppet, step.effects);
  }

  async startAll(config: SecaggConfig, options: StartOptions = {}): Promise<void> {
    for (const id of config.cohort) await this.start(id, config, options);
  }

  async tell<N extends ServerMessageName>(id: string, name: N, body: MessageBody<N>): Promise<void> {
    const puppet = this.get(id);
    const step = clientReduce(puppet.state, { kind: 'message', name, signed: signMessage(name, body, serverSigner) });
    puppet.state = step.state;
    await this.effects(puppet, step.effects);
  }

  private async effects(puppet: Puppet, effects: readonly ClientEffect[]): Promise<void> {
    for (const effect of effects) {
      if (effect.kind === 'abort') puppet.code = effect.code;
      if (effect.kind === 'persist') puppet.record = effect.record;
      if (effect.kind === 'send') puppet.said.set(effect.name, effect.signed);
      if (effect.kind === 'mask') {
        const masked = await applyMasks(puppet.noised, effect.streams);
        puppet.upload = masked.values;
        const chunks = chunkHashes(maskedBytes(masked), puppet.config.chunkBytes);
        const step = clientReduce(puppet.state, { kind: 'masked', chunks });
        puppet.state = step.state;
        await this.effects(puppet, step.effects);
      }
    }
  }

  get(id: string): Puppet {
    return this.clients.get(id) as Puppet;
  }

  code(id: string): string | undefined {
    return this.get(id).code;
  }

  body<N extends ClientMessageName>(id: string, name: N): MessageBody<N> {
    return this.get(id).said.get(name)?.body as MessageBody<N>;
  }

  session(id: string): string {
    return sessionOf(this.get(id).config);
  }

  peers(ids: readonly string[]): MessageBody<'advertise'>[] {
    return ids.map((id) => this.body(id, 'advertise'));
  }

  sid(id: string, ids: readonly string[] = [...this.clients.keys()]): string {
    return hex(sidOf(this.session(id), this.peers(ids)));
  }

  /** M1 as an honest server relays it. */
  async relayKeys(ids: readonly string[] = [...this.clients.keys()]): Promise<void> {
    const advertisements = ids.map((id) => this.get(id).said.get('advertise') as Signed);
    for (const id of ids) await this.tell(id, 'keys', { session: this.session(id), advertisements });
  }

  /** M2 as an honest server relays it; the clients then mask and upload. */
  async relayShares(members: readonly string[] = [...this.clients.keys()]): Promise<void> {
    for (const id of members) {
      const shares = members.flatMap((from) => {
        const entry = this.body(from, 'shares')?.shares.find((s) => s.to === id);
        if (from === id || entry === undefined) return [];
        return [{ from, seedCommitment: entry.seedCommitment, keyCommitment: entry.keyCommitment, box: entry.box }];
      });
      await this.tell(id, 'inbox', { session: this.session(id), sid: this.sid(id), members: [...members], shares });
    }
  }

  /** M4: tells a client its survivor set. */
  async askToSign(id: string, survivors: readonly string[]): Promise<Signed> {
    await this.tell(id, 'survivors', { session: this.session(id), sid: this.sid(id), survivors: [...survivors] });
    return this.get(id).said.get('consistent') as Signed;
  }

  /** M5. */
  async askToUnmask(id: string, signatures: readonly Signed[]): Promise<void> {
    await this.tell(id, 'signatures', { session: this.session(id), sid: this.sid(id), signatures: [...signatures] });
  }

  /** M4 and M5 as an honest server runs them. */
  async openFor(ids: readonly string[], survivors: readonly string[]): Promise<void> {
    const signatures = [];
    for (const id of ids) signatures.push(await this.askToSign(id, survivors));
    for (const id of ids) await this.askToUnmask(id, signatures);
  }

  /** The secret of `dealer` out of all answers, when there are enough of this kind. */
  secret(dealer: string, kind: 'seed' | 'key'): Uint8Array | undefined {
    const ids = [...this.clients.keys()];
    const { threshold } = this.get(dealer).config;
    const shares = ids.flatMap((holder, i) => {
      const answer = this.body(holder, 'unmask')?.shares.find((s) => s.of === dealer);
      return answer !== undefined && answer.kind === kind ? [{ x: i + 1, share: fromBase64(answer.share) }] : [];
    });
    return shares.length >= threshold ? combineShares(shares.slice(0, threshold)) : undefined;
  }

  context(id: string): KeyContext {
    const { weightsSha256, layoutSha256 } = this.get(id).config;
    return { sid: sidOf(this.session(id), this.peers([...this.clients.keys()])), weightsSha256, layoutSha256 };
  }

  /** The sum over the clients whose seed came out, with the keys that came out: what the server can read. */
  async openSum(): Promise<{ of: string[]; sum: Uint32Array }> {
    const ids = [...this.clients.keys()];
    const of = ids.filter((id) => this.secret(id, 'seed') !== undefined);
    const sum = new Uint32Array(this.get(ids[0] as string).config.dimension);
    for (const id of of) {
      add(sum, this.get(id).upload as Uint32Array);
      await addStreams(sum, [
        { key: selfMaskKey(this.secret(id, 'seed') as Uint8Array, this.context(id), id), sign: -1 },
      ]);
    }
    for (const dropped of ids.filter((id) => !of.includes(id))) {
      const secretKey = this.secret(dropped, 'key');
      for (const id of secretKey === undefined ? [] : of) {
        const secret = sharedSecret(secretKey as Uint8Array, fromBase64(this.body(id, 'advertise').maskKey));
        await addStreams(sum, [
          { key: pairMaskKey(secret, this.context(id), id, dropped), sign: id < dropped ? -1 : 1 },
        ]);
      }
    }
    return { of, sum };
  }

  /** The inputs of these clients, added. */
  truth(ids: readonly string[]): Uint32Array {
    const sum = new Uint32Array(this.get(ids[0] as string).config.dimension);
    for (const id of ids) add(sum, this.get(id).input);
    return sum;
  }
}

export function add(sum: Uint32Array, values: Uint32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (values[i] as number);
}

/** An advertisement under any key. */
export function forgedAdvertisement(
  session: string,
  clientId: string,
  channel: Uint8Array,
  mask: Uint8Array,
  signer = serverSigner,
): Signed {
  const nonce = base64(new Uint8Array(32));
  return signMessage(
    'advertise',
    { session, clientId, channelKey: base64(channel), maskKey: base64(mask), nonce },
    signer,
  );
}
