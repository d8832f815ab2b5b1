import { base64, fromBase64, hex } from '../../shared/core/bytes.ts';
import { littleEndianBytes } from '../../shared/core/keystream.ts';
import { seededRng } from '../../shared/core/rng.ts';
import type { Signer } from '../../shared/core/signing.ts';
import type { NoiseComponent } from '../../shared/privacy/component-noise.ts';
import { clientReduce, startClient } from '../../shared/secagg/client.ts';
import type { ClientRecord } from '../../shared/secagg/client-checks.ts';
import type { ClientEffect, ClientState } from '../../shared/secagg/client-state.ts';
import {
  channelKey,
  type KeyContext,
  keyPair,
  pairMaskKey,
  selfMaskKey,
  sharedSecret,
} from '../../shared/secagg/keys.ts';
import { addStreams, type MaskStream } from '../../shared/secagg/mask.ts';
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
import { sessionLadder, surplusCount } from '../../shared/secagg/noise-seeds.ts';
import { combineShares } from '../../shared/secagg/shamir.ts';
import { boxBytes, openShares } from '../../shared/secagg/shares.ts';
import { chunkHashes, underMasks } from './masked-vector.ts';
import { addTo, identity, noisedFor, rosterOf, serverSigner } from './secagg-session.ts';

/** Honest clients in the hands of a server that says what it likes, under its true signature. */

interface Puppet {
  state: ClientState;
  readonly config: SecaggConfig;
  readonly seed: string;
  /** What is under the masks, with all its noise. */
  input: Uint32Array | undefined;
  components: readonly NoiseComponent[];
  upload: Uint32Array | undefined;
  code: string | undefined;
  record: ClientRecord | undefined;
  readonly said: Map<ClientMessageName, Signed>;
}

interface StartOptions {
  readonly roster?: readonly RosterEntry[];
  readonly last?: ClientRecord | undefined;
  readonly seed?: string;
  /** Whose randomness this client draws; its own unless it was cloned. */
  readonly randomnessOf?: string;
}

export class Puppets {
  readonly clients = new Map<string, Puppet>();

  async start(id: string, config: SecaggConfig, options: StartOptions = {}): Promise<void> {
    const { roster = rosterOf(config.cohort), seed = 'puppet', last, randomnessOf = id } = options;
    const step = startClient({
      clientId: id,
      signer: identity(id),
      serverPublicKey: serverSigner.publicKey,
      roster,
      config: signMessage('config', config, serverSigner),
      rng: seededRng(`${seed}/${randomnessOf}`),
      last,
    });
    const puppet: Puppet = {
      state: step.state,
      config,
      seed: `${seed}/input/${id}`,
      input: undefined,
      components: [],
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
        puppet.components = effect.noise.map(({ key, sigma }) => ({ key: key.slice(), sigma }));
        const noised = await noisedFor(puppet.seed, puppet.config.dimension, effect.noise);
        puppet.input = noised.slice();
        const masked = await underMasks(noised, effect.streams);
        puppet.upload = masked;
        const chunks = chunkHashes(littleEndianBytes(masked), puppet.config.chunkBytes);
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
        const { to: _, ...dealt } = entry;
        return [{ from, ...dealt }];
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

  /** The surplus seed of a dealer out of the shares that these holders gave of it. */
  surplusSeed(dealer: string, holders: readonly string[]): Uint8Array | undefined {
    const ids = [...this.clients.keys()];
    const { threshold } = this.get(dealer).config;
    const shares = holders.flatMap((holder) => {
      const answer = this.body(holder, 'unmask')?.shares.find((s) => s.of === dealer);
      if (answer?.kind !== 'seed' || answer.surplus === null) return [];
      return [{ x: ids.indexOf(holder) + 1, share: fromBase64(answer.surplus.share) }];
    });
    return shares.length >= threshold ? combineShares(shares.slice(0, threshold)) : undefined;
  }

  /** What takes the masks of `id` with these others off its upload, out of its mask key. */
  pairStreams(id: string, secretKey: Uint8Array, others: readonly string[]): MaskStream[] {
    return others.flatMap((other) => {
      if (other === id) return [];
      const secret = sharedSecret(secretKey, fromBase64(this.body(other, 'advertise').maskKey));
      return [{ key: pairMaskKey(secret, this.context(id), id, other), sign: id < other ? -1 : 1 }];
    });
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
      addTo(sum, this.get(id).upload as Uint32Array);
      await addStreams(sum, [
        { key: selfMaskKey(this.secret(id, 'seed') as Uint8Array, this.context(id), id), sign: -1 },
      ]);
    }
    for (const dropped of ids.filter((id) => !of.includes(id))) {
      const secretKey = this.secret(dropped, 'key');
      if (secretKey === undefined) continue;
      const left = this.pairStreams(dropped, secretKey, of);
      await addStreams(
        sum,
        left.map(({ key, sign }) => ({ key, sign: sign === 1 ? -1 : 1 })),
      );
    }
    return { of, sum };
  }

  /** The inputs of these clients, added. */
  truth(ids: readonly string[]): Uint32Array {
    const sum = new Uint32Array(this.get(ids[0] as string).config.dimension);
    for (const id of ids) addTo(sum, this.get(id).input as Uint32Array);
    return sum;
  }
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

/**
 * The server plays `others`, the victim's whole company, with identities from `signerOf`. Returns what it reads of the
 * victim's upload, or undefined when the victim refused the list.
 */
export async function impersonate(
  puppets: Puppets,
  victimId: string,
  others: readonly string[],
  signerOf: (id: string) => Signer,
): Promise<Uint32Array | undefined> {
  const { config, said } = puppets.get(victimId);
  const session = sessionOf(config);
  const members = [victimId, ...others].sort();
  const fakes = new Map(
    others.map((id) => [id, { channel: keyPair(seededRng(`c${id}`)), mask: keyPair(seededRng(`m${id}`)) }]),
  );
  const advertisements = members.map((id) => {
    const keys = fakes.get(id);
    if (keys === undefined) return said.get('advertise') as Signed;
    return forgedAdvertisement(session, id, keys.channel.publicKey, keys.mask.publicKey, signerOf(id));
  });
  await puppets.tell(victimId, 'keys', { session, advertisements });
  if (puppets.code(victimId) !== undefined) return undefined;
  const sid = sidOf(
    session,
    advertisements.map((a) => a.body as MessageBody<'advertise'>),
  );
  const context = { sid, weightsSha256: config.weightsSha256, layoutSha256: config.layoutSha256 };
  const victim = puppets.body(victimId, 'advertise');
  const surplus = surplusCount(sessionLadder(config, members.length));
  const held = members.flatMap((id, i) => {
    const keys = fakes.get(id);
    if (keys === undefined) return [];
    const key = channelKey(sharedSecret(keys.channel.secretKey, fromBase64(victim.channelKey)), context, victimId, id);
    const box = puppets.body(victimId, 'shares').shares[i]?.box as string;
    return [{ x: i + 1, share: openShares(fromBase64(box), i + 1, key, surplus)?.seed.share as Uint8Array }];
  });
  const seed = combineShares(held.slice(0, config.threshold));
  const nothing = {
    seedCommitment: base64(new Uint8Array(32)),
    keyCommitment: base64(new Uint8Array(32)),
    surplusCommitments: Array.from({ length: surplus }, () => base64(new Uint8Array(32))),
    box: base64(new Uint8Array(boxBytes(surplus))),
  };
  const shares = members.filter((id) => fakes.has(id)).map((from) => ({ from, ...nothing }));
  await puppets.tell(victimId, 'inbox', { session, sid: hex(sid), members, shares });
  const stolen = puppets.get(victimId).upload as Uint32Array;
  const streams: MaskStream[] = [{ key: selfMaskKey(seed, context, victimId), sign: -1 }];
  for (const [id, { mask }] of fakes) {
    const secret = sharedSecret(mask.secretKey, fromBase64(victim.maskKey));
    streams.push({ key: pairMaskKey(secret, context, victimId, id), sign: victimId < id ? -1 : 1 });
  }
  await addStreams(stolen, streams);
  return stolen;
}
