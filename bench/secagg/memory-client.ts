import { systemRng } from '../../shared/core/rng.ts';
import { useOpensslCrypto } from '../../shared/node/native-crypto.ts';
import { clientRound } from './client-round.ts';
import { mostResident } from './most-resident.ts';

/** A process of its own: prints the most memory it ever held beyond its weights, in bytes. */
useOpensslCrypto();
const [dimension, clients] = process.argv.slice(2).map(Number) as [number, number];
const weights = new Float32Array(dimension).fill(0.01);
const before = process.memoryUsage.rss();
const sum = new Float32Array(dimension).fill(0.5 / Math.sqrt(dimension));
await clientRound(sum, { dimension, clients, components: 2 }, systemRng);
const held = mostResident() - before;
console.log(JSON.stringify({ held, weights: weights.byteLength }));
