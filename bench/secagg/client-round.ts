import { type Rng, systemRng } from '../../shared/core/rng.ts';
import type { RingBits } from '../../shared/kernels/packing.ts';
import { uploadMasked } from '../../shared/participant/upload.ts';
import { type MechanismParameters, mechanismParameters } from '../../shared/privacy/mechanism.ts';
import { noiseLadder } from '../../shared/privacy/noise-ladder.ts';
import { noisedStream } from '../../shared/privacy/noised-stream.ts';
import type { MaskStream } from '../../shared/secagg/mask.ts';
import { type MaskedStream, maskStream } from '../../shared/secagg/masked-stream.ts';
import { chunkBytesOf } from '../../shared/secagg/upload-shape.ts';
import type { Spent } from './measure.ts';

/** Runs in Node and in a browser's worker: the part of a round that grows with the model, as a participant does it. */

export const CHUNK_BYTES = 4 << 20;

export function benchMechanism(dimension: number, clients: number, ringBits: RingBits = 32): MechanismParameters {
  return mechanismParameters({
    dimension,
    l2Clip: 1,
    noiseMultiplier: 1,
    minimumCohort: clients,
    colluders: 0,
    cohortMax: clients,
    ringBits,
    oneUnit: true,
  });
}

export function streams(count: number, rng: Rng): MaskStream[] {
  return Array.from({ length: count }, (_, i) => ({ key: rng.bytes(32), sign: i % 2 === 0 ? 1 : -1 }));
}

export interface ClientDemand {
  readonly dimension: number;
  /** n: one self mask and n − 1 with the others. */
  readonly clients: number;
  /** Noise components, each of the client's whole share. */
  readonly components: number;
  /** 32 unless said. */
  readonly ringBits?: RingBits;
}

const UPLOAD = { run: 'bench', round: 1, attempt: 1 };

/** Quantises, noises, masks, hashes and uploads a whole vector, chunk by chunk, to a coordinator that is there at once. */
export async function clientRound(
  sum: Float32Array,
  { dimension, clients, components, ringBits = 32 }: ClientDemand,
  rng: Rng,
  sent: (bytes: Uint8Array) => void = () => undefined,
): Promise<MaskedStream> {
  const mechanism = benchMechanism(dimension, clients, ringBits);
  const { sigmas } = noiseLadder({ ...mechanism, clients, minimumCohort: clients });
  const noise = Array.from({ length: components }, () => ({ key: rng.bytes(32), sigma: sigmas[0] as number }));
  const noised = await noisedStream(sum, mechanism, rng, 1, noise, rng.bytes(32));
  const masked = await maskStream(noised, streams(clients, rng), chunkBytesOf(ringBits));
  const transport = { putChunk: async (_: string, bytes: Uint8Array) => sent(bytes), heldChunk: async () => undefined };
  await uploadMasked(masked, UPLOAD, transport, () => '', new AbortController().signal);
  return masked;
}

/**
 * The least of two rounds' times, after a short one that warms up.
 * @param processorSeconds - what the program has used so far, all of its threads
 */
export async function timedRound(
  demand: ClientDemand,
  processorSeconds: () => number | Promise<number>,
): Promise<Spent> {
  const sum = new Float32Array(demand.dimension).fill(0.5 / Math.sqrt(demand.dimension));
  const warm = sum.slice(0, 1 << 20);
  await clientRound(warm, { ...demand, dimension: warm.length }, systemRng);
  const least = { cpu: Number.POSITIVE_INFINITY, wall: Number.POSITIVE_INFINITY };
  for (let i = 0; i < 2; i++) {
    const before = await processorSeconds();
    const start = performance.now();
    await clientRound(sum, demand, systemRng);
    least.wall = Math.min(least.wall, (performance.now() - start) / 1000);
    least.cpu = Math.min(least.cpu, (await processorSeconds()) - before);
  }
  return least;
}
