import { base64, utf8 } from '../../shared/core/bytes.ts';
import { canonicalJson } from '../../shared/core/canonical.ts';
import { sha256, sha256Hex } from '../../shared/core/hash.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { type Signer, signerFromSeed } from '../../shared/core/signing.ts';
import type { RingBits } from '../../shared/kernels/packing.ts';
import { addComponents, type NoiseComponent } from '../../shared/privacy/component-noise.ts';
import { type MechanismParameters, mechanismParameters } from '../../shared/privacy/mechanism.ts';
import { componentsNeeded } from '../../shared/privacy/noise-ladder.ts';
import { clientReduce, startClient } from '../../shared/secagg/client.ts';
import type { ClientRecord } from '../../shared/secagg/client-checks.ts';
import type { ClientEffect, ClientEvent, ClientState } from '../../shared/secagg/client-state.ts';
import { addInto, type MaskStream, removeMasks } from '../../shared/secagg/mask.ts';
import {
  type Open,
  type RosterEntry,
  rosterHash,
  type SecaggConfig,
  type Signed,
} from '../../shared/secagg/messages.ts';
import { sharingParameters } from '../../shared/secagg/parameters.ts';
import { serverReduce, startServer } from '../../shared/secagg/server.ts';
import type { NoiseLeft, Phase, ServerEffect, ServerEvent, ServerState } from '../../shared/secagg/server-state.ts';
import { chunkRange } from '../../shared/secagg/upload-shape.ts';
import { chunkHashes, noisedWords, packed, underMasks } from './masked-vector.ts';

/** A whole session in one process: the reducers of production, and a shell that is only queues. */

export function names(n: number): string[] {
  const digits = Math.max(3, String(n).length);
  return Array.from({ length: n }, (_, i) => `client-${String(i + 1).padStart(digits, '0')}`);
}

export function identity(name: string): Signer {
  return signerFromSeed(sha256(utf8(`identity of ${name}`)));
}

export const serverSigner = identity('server');

export function rosterOf(ids: readonly string[]): RosterEntry[] {
  return ids.map((clientId) => ({ clientId, publicKey: identity(clientId).publicKey }));
}

export interface SessionOptions {
  readonly n: number;
  readonly colluders?: number;
  readonly minimumCohort?: number;
  readonly dimension?: number;
  readonly chunkBytes?: number;
  readonly round?: number;
  readonly attempt?: number;
  readonly weights?: string;
  readonly committedSigma?: number;
  readonly ringBits?: RingBits;
}

export function configOf(options: SessionOptions): SecaggConfig {
  const { n, colluders = 0, dimension = 7, round = 1, attempt = 1, weights = 'weights', ringBits = 32 } = options;
  const { chunkBytes = ringBits === 20 ? 20 : 16 } = options;
  const mechanism = testMechanism(dimension, ringBits);
  const cohort = names(n);
  const loose = Math.floor((n + colluders) / 2) + 1;
  const minimumCohort = options.minimumCohort ?? (n > 64 ? 3 * Math.floor(n / 4) : loose);
  return {
    protocol: 'secagg/1',
    run: 'run-1',
    round,
    attempt,
    stage: 0,
    rosterHash: rosterHash(rosterOf(cohort)),
    cohort,
    weightsSha256: sha256Hex(utf8(weights)),
    layoutSha256: sha256Hex(utf8('layout')),
    ledger: { index: 0, checkpoint: 'tacit\n1\n', inclusion: [] },
    dimension,
    ringBits,
    scale: mechanism.scale,
    l2Clip: 1,
    committedSigma: options.committedSigma ?? mechanism.committedSigma,
    minimumCohort,
    colluders,
    ...sharingParameters({ cohortSize: n, colluders, minimumCohort }),
    deadlines: { advertiseMs: 5000, sharesMs: 1000, maskedMs: 1000, consistentMs: 1000, unmaskMs: 1000 },
    chunkBytes,
  };
}

/** Parameters of the real mechanism for tests: little noise, so that its tables are quick to make. */
export function testMechanism(dimension: number, ringBits: RingBits = 32): MechanismParameters {
  return mechanismParameters({
    dimension,
    l2Clip: 1,
    noiseMultiplier: 0.3,
    minimumCohort: 4,
    colluders: 0,
    cohortMax: ringBits === 32 ? 1024 : 10,
    ringBits,
  });
}

/** What every test client trained: a vector of length half the clip. */
export function testUpdate(dimension: number): Float32Array {
  return new Float32Array(dimension).fill(0.5 / Math.sqrt(dimension));
}

/** A vector that the privacy mechanism made with the noise that a session asks for, repeatable from a seed. */
export function noisedFor(
  seed: string,
  dimension: number,
  components: readonly NoiseComponent[],
  ringBits: RingBits = 32,
  rotation?: Uint8Array,
): Promise<Uint32Array> {
  return noisedWords(testUpdate(dimension), testMechanism(dimension, ringBits), seed, components, rotation);
}

/** Each component of a client's noise by itself. */
export async function noiseByComponent(
  components: readonly NoiseComponent[],
  dimension: number,
): Promise<Uint32Array[]> {
  const out: Uint32Array[] = [];
  for (const component of components) {
    const noise = new Uint32Array(dimension);
    await addComponents(noise, [component], 1);
    out.push(noise);
  }
  return out;
}

/** target += sign · values mod 2^32. */
export function addTo(target: Uint32Array, values: Uint32Array, sign: 1 | -1 = 1): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] as number) + sign * (values[i] as number);
}

export function randomVector(seed: string, dimension: number): Uint32Array {
  const bytes = seededRng(seed).bytes(4 * dimension);
  return new Uint32Array(bytes.buffer, 0, dimension);
}

/** Where a client vanishes: it never says the word, or (for `upload`) sends the first chunk only. */
export type DropStage = Phase | 'upload';

export interface Client {
  readonly id: string;
  state: ClientState;
  /** Keys and σ of its noise, kept for the test. */
  components: readonly NoiseComponent[];
  readonly records: ClientRecord[];
  readonly sent: { name: string; signed: Signed }[];
  masked: Uint32Array | undefined;
  streams: readonly MaskStream[];
  code: string | undefined;
  done: boolean;
}

type Hook = (message: { to: string; name: string; signed: Signed }) => Signed | undefined;

/** A simulated session. `toClient` and `toServer` may change a message, or swallow it by returning undefined. */
export class Session {
  readonly config: SecaggConfig;
  readonly clients = new Map<string, Client>();
  /** What each client put under its masks, without noise, and each component of its noise. */
  readonly inputs = new Map<string, Uint32Array>();
  readonly noises = new Map<string, readonly Uint32Array[]>();
  readonly events: ServerEvent[] = [];
  readonly effects: ServerEffect[] = [];
  readonly accumulator: Uint32Array;
  server: ServerState;
  drops = new Map<string, DropStage>();
  /** Replaces what was trained and rounded, for sums that a reader can check in the head. */
  inputOf: ((id: string) => Uint32Array) | undefined;
  /** How clients open messages. */
  open: Open | undefined;
  /** Keeps all events and effects. */
  remembers = true;
  toClient: Hook = ({ signed }) => signed;
  toServer: Hook = ({ signed }) => signed;
  outcome: 'finished' | 'aborted' | undefined;
  abort: Extract<ServerEffect, { kind: 'abort' }> | undefined;
  survivors: readonly string[] = [];
  noise: NoiseLeft | undefined;
  readonly ejections = new Map<string, string>();
  private readonly staged = new Map<string, Uint8Array[]>();
  private readonly queue: (() => Promise<void>)[] = [];
  private readonly roster: RosterEntry[];
  private readonly seed: string;

  constructor(options: SessionOptions, seed = 'session') {
    this.config = configOf(options);
    this.seed = seed;
    this.roster = rosterOf(this.config.cohort);
    this.accumulator = new Uint32Array(this.config.dimension);
    const started = startServer({ config: this.config, signer: serverSigner, roster: this.roster });
    this.server = started.state;
    this.serverEffects(started.effects);
  }

  /** Runs until nothing moves; then deadlines fire, until the session is over. */
  async run(): Promise<this> {
    for (let guard = 0; this.outcome === undefined && guard < 10; guard++) {
      await this.drain();
      const { phase } = this.server;
      if (phase !== 'finished' && phase !== 'aborted') this.event({ kind: 'deadline', phase });
    }
    await this.drain();
    return this;
  }

  async drain(): Promise<void> {
    for (let job = this.queue.shift(); job !== undefined; job = this.queue.shift()) await job();
  }

  event(event: ServerEvent): void {
    if (this.remembers) this.events.push(event);
    const step = serverReduce(this.server, event);
    this.server = step.state;
    this.serverEffects(step.effects);
  }

  private serverEffects(effects: readonly ServerEffect[]): void {
    for (const effect of effects) {
      if (this.remembers) this.effects.push(effect);
      if (effect.kind === 'send') this.queue.push(() => this.deliver(effect));
      if (effect.kind === 'eject') this.ejections.set(effect.clientId, effect.code);
      if (effect.kind === 'add') this.queue.push(async () => this.add(effect.clientId, effect.manifest.chunks));
      if (effect.kind === 'unmask') this.queue.push(() => removeMasks(this.accumulator, effect));
      if (effect.kind === 'finished') {
        this.outcome = 'finished';
        this.survivors = effect.survivors;
        this.noise = effect.noise;
      }
      if (effect.kind === 'abort') {
        this.outcome = 'aborted';
        this.abort = effect;
      }
    }
  }

  private add(id: string, chunks: readonly string[]): void {
    const arrived = this.staged.get(id) ?? [];
    chunks.forEach((hash, i) => {
      const chunk = arrived[i] as Uint8Array;
      if (sha256Hex(chunk) !== hash) throw new Error('the shell would refuse this chunk');
      addInto(this.accumulator, chunk, chunkRange(this.config, i)[0], this.config.ringBits);
    });
  }

  private async deliver({ to, name, signed }: Extract<ServerEffect, { kind: 'send' }>): Promise<void> {
    const message = this.toClient({ to, name, signed });
    if (message === undefined) return;
    if (name === 'config') return this.startClient(to, message);
    const client = this.clients.get(to);
    if (client !== undefined) await this.clientEvent(client, { kind: 'message', name, signed: message });
  }

  async startClient(id: string, config: unknown, last?: ClientRecord): Promise<void> {
    const step = startClient({
      clientId: id,
      signer: identity(id),
      serverPublicKey: serverSigner.publicKey,
      roster: this.roster,
      config,
      rng: seededRng(`${this.seed}/${id}`),
      last,
      ...(this.open === undefined ? {} : { open: this.open }),
    });
    const client: Client = {
      id,
      state: step.state,
      components: [],
      records: [],
      sent: [],
      masked: undefined,
      streams: [],
      code: undefined,
      done: false,
    };
    this.clients.set(id, client);
    await this.clientEffects(client, step.effects);
  }

  async clientEvent(client: Client, event: ClientEvent): Promise<void> {
    const step = clientReduce(client.state, event);
    client.state = step.state;
    await this.clientEffects(client, step.effects);
  }

  private async clientEffects(client: Client, effects: readonly ClientEffect[]): Promise<void> {
    for (const effect of effects) {
      if (effect.kind === 'persist') client.records.push(effect.record);
      if (effect.kind === 'abort') client.code = effect.code;
      if (effect.kind === 'done') client.done = true;
      if (effect.kind === 'send') this.fromClient(client, effect);
      if (effect.kind === 'mask') {
        client.components = effect.noise.map(({ key, sigma }) => ({ key: key.slice(), sigma }));
        client.streams = effect.streams.map(({ key, sign }) => ({ key: key.slice(), sign }));
        client.masked = await underMasks(await this.noised(client, effect.noise, effect.rotation), effect.streams);
        await this.clientEvent(client, {
          kind: 'masked',
          chunks: chunkHashes(packed(client.masked, this.config.ringBits), this.config.chunkBytes),
        });
      }
    }
  }

  private async noised(
    { id, components }: Client,
    noise: readonly NoiseComponent[],
    rotation: Uint8Array,
  ): Promise<Uint32Array> {
    const { dimension, ringBits } = this.config;
    const noised = await noisedFor(`${this.seed}/input/${id}`, dimension, noise, ringBits, rotation);
    const noises = await noiseByComponent(components, dimension);
    const input = this.inputOf?.(id) ?? noised.slice();
    if (this.inputOf === undefined) for (const one of noises) addTo(input, one, -1);
    this.inputs.set(id, input);
    this.noises.set(id, noises);
    noised.set(input);
    for (const one of noises) addTo(noised, one);
    return noised;
  }

  /** The first `limit` chunks reach the server's staging area; only whole uploads are added. */
  private upload(client: Client, limit: number): void {
    const { chunkBytes, ringBits } = this.config;
    const bytes = packed(client.masked as Uint32Array, ringBits);
    const chunks = Array.from({ length: Math.min(limit, Math.ceil(bytes.length / chunkBytes)) }, (_, i) =>
      bytes.slice(i * chunkBytes, (i + 1) * chunkBytes),
    );
    this.staged.set(client.id, chunks);
  }

  private fromClient(client: Client, { name, signed }: Extract<ClientEffect, { kind: 'send' }>): void {
    client.sent.push({ name, signed });
    const stage = this.drops.get(client.id);
    if (name === 'masked' && stage !== 'masked') this.upload(client, stage === 'upload' ? 1 : Number.POSITIVE_INFINITY);
    if (stage === name || (stage === 'upload' && name === 'masked')) {
      this.clients.delete(client.id);
      this.queue.push(async () => this.event({ kind: 'gone', from: client.id }));
      return;
    }
    const message = this.toServer({ to: client.id, name, signed });
    if (message === undefined) return;
    this.queue.push(async () => {
      if (name === 'masked') this.event({ kind: 'uploaded', from: client.id, manifest: message });
      else this.event({ kind: 'message', from: client.id, name, signed: message });
    });
  }

  /** What the sum must be: the inputs of the survivors and as much of their noise as a sum of so many needs, mod 2^32. */
  expectedSum(): Uint32Array {
    const sum = new Uint32Array(this.config.dimension);
    const { ladder } = this.server.group as NonNullable<ServerState['group']>;
    const needed = componentsNeeded(ladder, this.survivors.length);
    for (const id of this.survivors) {
      addTo(sum, this.inputs.get(id) as Uint32Array);
      const noises = this.noises.get(id) as readonly Uint32Array[];
      const kept = this.noise?.unremoved.includes(id) === true ? noises : noises.slice(0, needed);
      for (const noise of kept) addTo(sum, noise);
    }
    return sum;
  }
}

/** The message with one character of its signature's base64 changed to another signature of the same length. */
export function badlySigned(message: Signed): Signed {
  return { ...message, signature: base64(new Uint8Array(64).fill(3)) };
}

/** A digest of everything that a list of effects says, keys of masks included. */
export function effectsDigest(effects: readonly unknown[]): string {
  const plain = JSON.parse(
    JSON.stringify(effects, (_, value) => (value instanceof Uint8Array ? base64(value) : value)),
  );
  return sha256Hex(utf8(canonicalJson(plain)));
}

/** Every subset of `items` with `size` members. */
export function subsets<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, i) => subsets(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}
