import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemRng } from '../../shared/core/rng.ts';
import { createBlobFiles } from '../../shared/node/store/blob-files.ts';
import { addInto, removeMasks } from '../../shared/secagg/mask.ts';
import { CHUNK_BYTES, streams } from './client-round.ts';
import { mostResident } from './most-resident.ts';

/**
 * A process of its own: takes n uploads to durable files, adds them in streaming passes, removes n self masks, and prints the
 * most memory that it ever held. The chunks of one client are alike, which no step can tell.
 */
const [dimension, clients] = process.argv.slice(2).map(Number) as [number, number];
const dir = await mkdtemp(join(tmpdir(), 'tacit-bench-'));
try {
  const blobs = createBlobFiles(dir);
  const accumulator = new Uint32Array(dimension);
  for (let client = 0; client < clients; client++) {
    const random = systemRng.bytes(CHUNK_BYTES);
    const names: string[] = [];
    for (let at = 0; at < 4 * dimension; at += CHUNK_BYTES)
      names.push(await blobs.putBlob(random.slice(0, Math.min(CHUNK_BYTES, 4 * dimension - at))));
    for (const [i, name] of names.entries()) addInto(accumulator, await blobs.getBlob(name), (i * CHUNK_BYTES) / 4, 32);
  }
  await removeMasks(accumulator, { selfSeeds: streams(clients, systemRng), pairwise: [], surplus: [] });
  console.log(JSON.stringify({ held: mostResident() }));
} finally {
  await rm(dir, { recursive: true, force: true });
}
