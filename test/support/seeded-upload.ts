import { seededRng } from '../../shared/core/rng.ts';
import { CHUNK_WORDS } from '../../shared/kernels/chunk-space.ts';
import type { RingBits } from '../../shared/kernels/packing.ts';
import { mechanismParameters } from '../../shared/privacy/mechanism.ts';
import { noisedStream } from '../../shared/privacy/noised-stream.ts';
import { maskStream } from '../../shared/secagg/masked-stream.ts';
import { chunkBytesOf } from '../../shared/secagg/upload-shape.ts';

/** SHA-256 of every chunk of an upload in which nothing is random: the same on every platform. */
export async function seededUpload(ringBits: RingBits): Promise<string[]> {
  const dimension = 7 * CHUNK_WORDS + 1002;
  const rng = seededRng('upload');
  const mechanism = mechanismParameters({
    dimension,
    l2Clip: 1,
    noiseMultiplier: 0.5,
    minimumCohort: 4,
    colluders: 0,
    cohortMax: 5,
    ringBits,
    oneUnit: true,
  });
  const update = Float32Array.from({ length: dimension }, (_, i) => (((i * 2654435761) % 1000) - 500) / 1e6);
  const noise = [{ key: rng.bytes(32), sigma: mechanism.localSigma }];
  const noised = await noisedStream(update, mechanism, rng, 1, noise, rng.bytes(32));
  const stream = await maskStream(noised, [{ key: rng.bytes(32), sign: 1 }], chunkBytesOf(ringBits));
  for (let i = 0; i < stream.count; i++) await stream.chunk(i);
  return stream.hashes();
}
