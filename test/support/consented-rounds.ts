import { errorCode } from '../../shared/core/errors.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { parseYaml } from '../../shared/node/documents.ts';
import { ParticipantMemory } from '../../shared/participant/memory.ts';
import { type RoundContext, RoundParticipant } from '../../shared/participant/round.ts';
import { commitTerms, stageMechanism } from '../../shared/protocol/commitment.ts';
import { parsePlan } from '../../shared/protocol/plan.ts';
import { encodeWeightsManifest } from '../../shared/protocol/weights-manifest.ts';
import { addInto, removeMasks } from '../../shared/secagg/mask.ts';
import type { SecaggConfig } from '../../shared/secagg/messages.ts';
import { serverReduce, startServer } from '../../shared/secagg/server.ts';
import type { ServerEffect, ServerEvent, ServerState } from '../../shared/secagg/server-state.ts';
import { createMemoryStore } from '../../shared/store/memory.ts';
import { layoutOf } from '../../shared/tensor/layout.ts';
import { planText } from './federation.ts';
import { configOf, identity, names, rosterOf, serverSigner } from './secagg-session.ts';

/** What came of a session: codes of those that refused it; otherwise the opened sum's mean square. */
export interface OpenedRound {
  readonly codes: readonly unknown[];
  readonly variance: number;
}

/**
 * Real participants that agreed to one plan, with what they remember from session to session. Their updates are zero: what a
 * sum opens to is noise.
 */
export class ConsentedRounds {
  static readonly dimension = 20_000;
  readonly #cohort: readonly string[];
  readonly #memories = new Map<string, ParticipantMemory>();
  readonly terms: RoundContext['terms'];

  /** @param stages - 1, or 2 of one round each */
  constructor(n: number, stages: 1 | 2 = 1) {
    this.#cohort = names(n);
    // The plan's noise is shared by at most six clients.
    const text = planText({ rounds: 1, loraRounds: stages - 1 }).replace(
      'ringBits: 32',
      'ringBits: 32, maximumCohort: 6',
    );
    const layouts = ['classifier.weight', 'lora'].map((name) =>
      layoutOf([{ name, shape: [2, ConsentedRounds.dimension / 2] }]),
    );
    this.terms = commitTerms(parsePlan(parseYaml(text, 'plan'), 'plan'), [], layouts.slice(0, stages));
  }

  get mechanism() {
    return stageMechanism(this.terms, 0);
  }

  /** M0 as the plan has it for its first round, or another stage, and what else is to be different. */
  config(change: Partial<SecaggConfig>): SecaggConfig {
    const { dimension } = ConsentedRounds;
    const n = this.#cohort.length;
    const { stage = 0 } = change;
    const mechanism = stageMechanism(this.terms, stage);
    const { minimumCohort } = configOf({ n, colluders: 1 });
    return {
      ...configOf({ n, colluders: 1, minimumCohort, dimension, chunkBytes: 1 << 20 }),
      scale: mechanism.scale,
      l2Clip: mechanism.l2Clip,
      committedSigma: mechanism.committedSigma,
      layoutSha256: this.terms.stages[stage]?.layoutSha256 as string,
      ...change,
    };
  }

  /** A whole session under this configuration. */
  async open(change: Partial<SecaggConfig>): Promise<OpenedRound> {
    const { dimension } = ConsentedRounds;
    const [cohort, { terms }] = [this.#cohort, this];
    const config = this.config(change);
    const manifest = encodeWeightsManifest({ overlays: [], trainable: '11'.repeat(32) });
    const sum = new Uint32Array(dimension);
    const uploads = new Map<string, Uint8Array[]>();
    const participants = new Map<string, RoundParticipant>();
    const codes: unknown[] = [];
    const jobs: (() => Promise<void>)[] = [];
    let state: ServerState;
    const join = async (id: string, signed: unknown): Promise<void> => {
      const memory = this.#memories.get(id) ?? (await ParticipantMemory.open(createMemoryStore()));
      this.#memories.set(id, memory);
      const context: RoundContext = {
        clientId: id,
        signer: identity(id),
        serverPublicKey: serverSigner.publicKey,
        roster: rosterOf(cohort),
        run: 'run-1',
        terms,
        memory,
        trainer: {
          update: async () => ({ sum: new Float32Array(dimension), units: 1, examples: 1, loss: 0 }),
          dispose: async () => {},
        },
        rng: seededRng(`terms/${id}`),
        clock: { now: () => 0 },
        emit: () => {},
        send: async ({ name, signed: message }) => {
          const event: ServerEvent =
            name === 'masked'
              ? { kind: 'uploaded', from: id, manifest: message }
              : { kind: 'message', from: id, name: name as 'advertise', signed: message };
          jobs.push(async () => happen(event));
        },
        blob: async (sha256) => (sha256 === config.weightsSha256 ? manifest : new Uint8Array(4 * dimension)),
        upload: async (stream) => {
          const chunks = [];
          for (let i = 0; i < stream.count; i++) chunks.push((await stream.chunk(i)).bytes);
          uploads.set(id, chunks);
          return new Uint8Array(32);
        },
      };
      try {
        const participant = new RoundParticipant(context, signed);
        participants.set(id, participant);
        await participant.start();
      } catch (error) {
        codes.push(errorCode(error));
      }
    };
    const carryOut = (some: readonly ServerEffect[]): void => {
      for (const effect of some) {
        if (effect.kind === 'send')
          jobs.push(async () => {
            if (effect.name === 'config') return join(effect.to, effect.signed);
            try {
              await participants.get(effect.to)?.receive(effect.name, effect.signed);
            } catch (error) {
              codes.push(errorCode(error));
            }
          });
        if (effect.kind === 'add')
          jobs.push(async () => {
            for (const chunk of uploads.get(effect.clientId) ?? []) addInto(sum, chunk, 0, 32);
          });
        if (effect.kind === 'unmask') jobs.push(async () => removeMasks(sum, effect));
      }
    };
    function happen(event: ServerEvent): void {
      const step = serverReduce(state, event);
      state = step.state;
      carryOut(step.effects);
    }
    const started = startServer({ config, signer: serverSigner, roster: rosterOf(cohort) });
    state = started.state;
    carryOut(started.effects);
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
    if (codes.length > 0) return { codes, variance: Number.NaN };
    const variance = new Int32Array(sum.buffer).reduce((total, x) => total + x * x, 0) / dimension;
    return { codes: state.phase === 'finished' ? codes : [state.phase], variance };
  }
}
