import { fromHex, hex } from '../core/bytes.ts';
import type { Clock } from '../core/clock.ts';
import { TacitError } from '../core/errors.ts';
import { sha256Hex } from '../core/hash.ts';
import type { Rng } from '../core/rng.ts';
import type { Signer } from '../core/signing.ts';
import { checkUpdate, type MechanismParameters } from '../privacy/mechanism.ts';
import { noisedStream } from '../privacy/noised-stream.ts';
import { stageMechanism } from '../protocol/commitment.ts';
import type { SecaggFrame } from '../protocol/messages.ts';
import { type PlanStage, trainedElements } from '../protocol/plan-stage.ts';
import type { Terms } from '../protocol/terms.ts';
import type { RoundPhase } from '../protocol/views.ts';
import { decodeWeightsManifest } from '../protocol/weights-manifest.ts';
import { clientReduce, startClient } from '../secagg/client.ts';
import type { ClientEffect, ClientEvent, ClientState } from '../secagg/client-state.ts';
import { type MaskedStream, maskStream } from '../secagg/masked-stream.ts';
import { openMessage, type RosterEntry, type SecaggConfig, type ServerMessageName } from '../secagg/messages.ts';
import { bytesToFloat32 } from '../tensor/float32.ts';
import type { ParticipantEvent } from './events.ts';
import type { ParticipantMemory } from './memory.ts';
import { checkAgainstTerms } from './round-terms.ts';
import type { TrainedSum, Trainer } from './trainer.ts';

export interface RoundContext {
  readonly clientId: string;
  readonly signer: Signer;
  readonly serverPublicKey: Uint8Array;
  readonly roster: readonly RosterEntry[];
  /** The run that this site agreed to. */
  readonly run: string;
  readonly terms: Terms;
  readonly memory: ParticipantMemory;
  readonly trainer: Trainer;
  readonly rng: Rng;
  readonly clock: Clock;
  emit(event: ParticipantEvent): void;
  send(frame: SecaggFrame): Promise<void>;
  blob(sha256: string, signal: AbortSignal): Promise<Uint8Array>;
  /** Only a masked vector leaves: the type says so. */
  /** @returns the first 32 bytes that left */
  upload(stream: MaskedStream, config: SecaggConfig, signal: AbortSignal): Promise<Uint8Array>;
}

/** What training leaves: the clipped sum over so many units. */
interface Update {
  readonly sum: Float32Array;
  readonly units: number;
}

/** One participant in one session: check, train, clip, noise, then the cryptographic phases. */
export class RoundParticipant {
  readonly #c: RoundContext;
  readonly #config: SecaggConfig;
  readonly #signed: unknown;
  readonly #abort = new AbortController();
  #state: ClientState | undefined;
  readonly #mechanism: MechanismParameters;
  /** The clipped sum, from training until it is noised and masked on its way out; it goes nowhere else. */
  #update: Update | undefined;
  #advertisement: SecaggFrame | undefined;

  /** @throws the coded reason why this configuration is not acceptable; nothing has been sent then */
  constructor(context: RoundContext, signedConfig: unknown) {
    this.#c = context;
    this.#signed = signedConfig;
    this.#config = openMessage('config', signedConfig, context.serverPublicKey);
    checkAgainstTerms(this.#config, context.run, context.terms);
    this.#mechanism = stageMechanism(context.terms, this.#config.stage);
  }

  get config(): SecaggConfig {
    return this.#config;
  }

  is(round: number, attempt: number): boolean {
    return this.#config.round === round && this.#config.attempt === attempt;
  }

  /** True once keys went out: from then on a lost connection is waited for. */
  get advertised(): boolean {
    return this.#advertisement !== undefined;
  }

  get cancelled(): boolean {
    return this.#abort.signal.aborted;
  }

  /** The coordinator did not get, or lost, the advertisement: the same one goes out again. */
  async invitedAgain(): Promise<void> {
    if (this.#advertisement !== undefined) await this.#c.send(this.#advertisement);
  }

  /** Stops training and uploading; the session is lost for this client, nobody else is disturbed. */
  cancel(): void {
    this.#abort.abort();
    this.#update = undefined;
    if (this.#state !== undefined)
      this.#state = clientReduce(this.#state, { kind: 'cancel', reason: 'the round ended' }).state;
  }

  /** Trains, then advertises keys. What was trained is fit to be sent, or nobody hears of this client in this round. */
  async start(): Promise<void> {
    const { round } = this.#config;
    this.#phase('training');
    const started = this.#c.clock.now();
    const { sum, units, examples, loss, dropped = 0 } = await this.#train();
    checkUpdate(sum, this.#mechanism, units);
    this.#update = { sum, units };
    const seconds = (this.#c.clock.now() - started) / 1000;
    this.#c.emit({ kind: 'trained', round, examples, loss, seconds, ...(dropped === 0 ? {} : { dropped }) });
    this.#phase('advertise');
    const { state, effects } = startClient({
      clientId: this.#c.clientId,
      signer: this.#c.signer,
      serverPublicKey: this.#c.serverPublicKey,
      roster: this.#c.roster,
      config: this.#signed,
      rng: this.#c.rng,
      last: this.#c.memory.lastSession(this.#config.run),
    });
    this.#state = state;
    await this.#carryOut(effects);
  }

  async receive(name: string, signed: unknown): Promise<void> {
    if (this.#state === undefined) return;
    await this.#happen({ kind: 'message', name: name as ServerMessageName, signed });
  }

  async #train(): Promise<TrainedSum> {
    const { signal } = this.#abort;
    const config = this.#config;
    const manifest = decodeWeightsManifest(await this.#c.blob(config.weightsSha256, signal));
    const plan = this.#c.terms.plan.stages[config.stage] as PlanStage;
    const elements = trainedElements(plan, config.dimension);
    const flat = bytesToFloat32(await this.#c.blob(manifest.trainable, signal), elements);
    const trained = await this.#c.trainer.update({ stage: config.stage, overlays: manifest.overlays, flat, signal });
    signal.throwIfAborted();
    return trained;
  }

  async #happen(event: ClientEvent): Promise<void> {
    const step = clientReduce(this.#state as ClientState, event);
    this.#state = step.state;
    await this.#carryOut(step.effects);
  }

  async #carryOut(effects: readonly ClientEffect[]): Promise<void> {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'persist':
          await this.#c.memory.record({ type: 'secagg', record: effect.record });
          break;
        case 'send':
          if (effect.name === 'consistent') this.#phase('consistency');
          if (effect.name === 'unmask') this.#phase('unmask');
          if (effect.name === 'shares') this.#phase('shares');
          await this.#send({
            round: this.#config.round,
            attempt: this.#config.attempt,
            name: effect.name,
            signed: effect.signed,
          });
          break;
        case 'mask':
          await this.#mask(effect);
          break;
        case 'abort':
          throw new TacitError(effect.code, effect.reason, {
            where: `round ${this.#config.round}.${this.#config.attempt}`,
          });
        case 'done':
          break;
      }
    }
  }

  async #send(frame: SecaggFrame): Promise<void> {
    if (frame.name === 'advertise') this.#advertisement = frame;
    await this.#c.send(frame);
  }

  async #mask({ noise, streams, rotation }: Extract<ClientEffect, { kind: 'mask' }>): Promise<void> {
    this.#phase('upload');
    const { sum, units } = this.#update as Update;
    this.#update = undefined;
    const noised = await noisedStream(sum, this.#mechanism, this.#c.rng, units, noise, rotation);
    const stream = await maskStream(noised, streams, this.#config.chunkBytes);
    const firstBytes = await this.#c.upload(stream, this.#config, this.#abort.signal);
    const hashes = stream.hashes();
    this.#c.emit({
      kind: 'uploaded',
      round: this.#config.round,
      bytes: stream.bytes,
      sha256: sha256Hex(...hashes.map(fromHex)),
      firstBytes: hex(firstBytes),
    });
    stream.close();
    await this.#happen({ kind: 'masked', chunks: hashes });
  }

  #phase(phase: RoundPhase): void {
    const { round, stage } = this.#config;
    const rounds = this.#c.terms.plan.stages.reduce((n, s) => n + s.rounds, 0);
    this.#c.emit({ kind: 'phase', round, rounds, stage, phase });
  }
}
