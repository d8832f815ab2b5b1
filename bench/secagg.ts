import { createCipheriv } from 'node:crypto';
import { parseArgs } from 'node:util';
import { seededRng, systemRng } from '../shared/core/rng.ts';
import { mechanismParameters, privatise } from '../shared/privacy/mechanism.ts';
import { addInto, applyMasks, chunkHashes, type MaskStream, maskedBytes, removeMasks } from '../shared/secagg/mask.ts';
import { combineShares, splitSecret } from '../shared/secagg/shamir.ts';
import type { BenchRow } from './row.ts';

/** A row whose target is a greatest value of `measured`. */
function atMost(
  row: string,
  value: number,
  unit: string,
  most: number | null,
  baseline: number | null = null,
  measured: 'value' | 'ratio' = 'value',
): BenchRow {
  const ratio = baseline === null ? null : value / baseline;
  const compared = measured === 'ratio' ? (ratio as number) : value;
  const target = most === null ? null : `${measured} <= ${most}`;
  return { bench: 'secagg', row, value, unit, baseline, ratio, target, holds: most === null ? null : compared <= most };
}

async function seconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

async function best(times: number, work: () => unknown): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times; i++) least = Math.min(least, await seconds(work));
  return least;
}

function streams(count: number): MaskStream[] {
  const rng = seededRng('bench streams');
  return Array.from({ length: count }, (_, i) => ({ key: rng.bytes(32), sign: i % 2 === 0 ? 1 : -1 }));
}

/** The least that `count` masks can cost: OpenSSL's AES-256-CTR in one buffer, and one addition of it each. */
function floor(target: Uint32Array, count: number): void {
  const zeros = new Uint8Array(1 << 20);
  for (const { key } of streams(count)) {
    const cipher = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
    for (let at = 0; at < target.length; at += zeros.length / 4) {
      const piece = cipher.update(zeros);
      const words = new Uint32Array(piece.buffer, piece.byteOffset, Math.min(zeros.length / 4, target.length - at));
      for (let i = 0; i < words.length; i++) target[at + i] = (target[at + i] as number) + (words[i] as number);
    }
  }
}

/** @param dimension - numbers in the vector; 110 million is BERT-base */
export async function secaggBench(dimension: number, clients: number): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  const demand = {
    dimension,
    l2Clip: 1,
    noiseMultiplier: 1,
    minimumCohort: clients,
    colluders: 0,
    cohortMax: clients,
    ringBits: 32 as const,
  };
  const mechanism = mechanismParameters(demand);
  const label = `d = ${dimension / 1e6} M, n = ${clients}`;
  const scratch = new Uint32Array(dimension);
  const least = await seconds(() => floor(scratch, clients));
  const update = new Float32Array(dimension);
  let noised = privatise(new Float32Array(dimension), mechanism, systemRng, 0);
  const noise = await seconds(() => {
    noised = privatise(update, mechanism, systemRng, 0);
  });
  let bytes: Uint8Array = new Uint8Array(0);
  const mask = await seconds(async () => {
    bytes = maskedBytes(await applyMasks(noised, streams(clients)));
  });
  let hashes: string[] = [];
  const hash = await seconds(() => {
    hashes = chunkHashes(bytes, 4 << 20);
  });
  rows.push(atMost(`client: quantise and noise, ${label}`, noise, 's', null));
  rows.push(atMost(`client: ${clients} masks, ${label}`, mask, 's', null, least));
  rows.push(atMost(`client: hash ${hashes.length} chunks, ${label}`, hash, 's', null));
  rows.push(atMost(`client: whole round, ${label}`, noise + mask + hash, 's', 5));
  rows.push(
    atMost(`client: whole round over AES-CTR + add floor, ${label}`, noise + mask + hash, 's', 2, least, 'ratio'),
  );
  rows.push(atMost('client: bytes up per number', bytes.length / dimension, 'B', 4));

  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, dimension);
  const plain = await best(3, () => {
    for (let i = 0; i < dimension; i++) scratch[i] = (scratch[i] as number) + (words[i] as number);
  });
  const added = await best(3, () => {
    for (let at = 0; at < bytes.length; at += 4 << 20) addInto(scratch, bytes.subarray(at, at + (4 << 20)), at / 4);
  });
  rows.push(atMost(`server: add one upload, ${label}`, added, 's', 1.3, plain, 'ratio'));

  const small = new Uint32Array(100_000);
  const unmask = await seconds(() => removeMasks(small, { selfSeeds: streams(95), pairwise: streams(5 * 95) }));
  rows.push(atMost('server: remove 95 self masks and 475 pair masks, d = 100,000', unmask, 's', 1));
  const shared = await best(3, () => splitSecret(systemRng.bytes(32), 64, 33, systemRng));
  rows.push(atMost('share 32 bytes 33 of 64', shared * 1e3, 'ms', null));
  const shares = splitSecret(systemRng.bytes(32), 64, 33, systemRng).map((share, j) => ({ x: j + 1, share }));
  rows.push(
    atMost(
      'combine 33 shares of 32 bytes',
      (await best(3, () => combineShares(shares.slice(0, 33)))) * 1e3,
      'ms',
      null,
    ),
  );
  return rows;
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const { values } = parseArgs({
    options: { dimension: { type: 'string', default: '110000000' }, clients: { type: 'string', default: '10' } },
  });
  for (const row of await secaggBench(Number(values.dimension), Number(values.clients)))
    console.log(JSON.stringify(row));
}
