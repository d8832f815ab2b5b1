import type { NoiseComponent } from '../privacy/component-noise.ts';
import { componentsNeeded, type NoiseLadder, noiseLadder } from '../privacy/noise-ladder.ts';
import { erase, type KeyContext, nextNoiseSeed, noiseKey } from './keys.ts';
import type { SecaggConfig } from './messages.ts';

/**
 * Where a client's noise comes from: one chain of seeds s_0 → s_1 → … → s_K → commitment, one seed for each component of the
 * ladder. s_0 never leaves the client. s_1…s_K are shared among the holders like the other secrets; once the survivors are
 * signed, at most one of them is opened, and with it those after it.
 */

/** The session's ladder: everybody in U1 is expected in the sum. */
export function sessionLadder(config: SecaggConfig, clients: number): NoiseLadder {
  const { committedSigma, colluders, threshold } = config;
  const minimumCohort = Math.max(config.minimumCohort, threshold);
  return noiseLadder({ committedSigma, clients, minimumCohort, colluders });
}

/** K: how many seeds of a client are shared. */
export function surplusCount({ sigmas }: NoiseLadder): number {
  return Math.max(sigmas.length - 1, 0);
}

/** Seeds s_1…s_K and the value at the chain's end, from s_0. */
export function surplusSeeds(
  first: Uint8Array,
  ladder: NoiseLadder,
  context: KeyContext,
  clientId: string,
): { readonly seeds: readonly Uint8Array[]; readonly end: Uint8Array } {
  return chainFrom(first, 0, ladder, context, clientId);
}

/** All components of a client's noise, from s_0. Their keys are the caller's to erase. */
export function noiseOf(
  first: Uint8Array,
  ladder: NoiseLadder,
  context: KeyContext,
  clientId: string,
): readonly NoiseComponent[] {
  if (ladder.sigmas.length === 0) return [];
  const { seeds, end } = surplusSeeds(first, ladder, context, clientId);
  const noise = [first, ...seeds].map((seed, k) => component(seed, k, ladder, context, clientId));
  erase(...seeds, end);
  return noise;
}

/**
 * Which of s_1…s_K opens for a sum of `survivors`, as a position from 0; undefined when all components are needed. The seed
 * of the first component that is not needed: those before it stay secret.
 */
export function openedSeed(ladder: NoiseLadder, survivors: number): number | undefined {
  const needed = componentsNeeded(ladder, survivors);
  return needed < ladder.sigmas.length ? needed - 1 : undefined;
}

/** The surplus components of a client, from the seed that was opened at `position` of s_1…s_K, and the chain's end. */
export function surplusOf(
  opened: Uint8Array,
  position: number,
  ladder: NoiseLadder,
  context: KeyContext,
  clientId: string,
): { readonly surplus: readonly NoiseComponent[]; readonly end: Uint8Array } {
  const { seeds, end } = chainFrom(opened, position + 1, ladder, context, clientId);
  const surplus = [opened, ...seeds].map((seed, i) => component(seed, position + 1 + i, ladder, context, clientId));
  return { surplus, end };
}

/** The seeds after that of component `from`, and the chain's end. */
function chainFrom(seed: Uint8Array, from: number, ladder: NoiseLadder, context: KeyContext, clientId: string) {
  const seeds: Uint8Array[] = [];
  let last = seed;
  for (let k = from + 1; k < ladder.sigmas.length; k++) {
    last = nextNoiseSeed(last, context, clientId, k);
    seeds.push(last);
  }
  return { seeds, end: nextNoiseSeed(last, context, clientId, ladder.sigmas.length) };
}

function component(
  seed: Uint8Array,
  k: number,
  ladder: NoiseLadder,
  context: KeyContext,
  clientId: string,
): NoiseComponent {
  return { key: noiseKey(seed, context, clientId, k), sigma: ladder.sigmas[k] as number };
}
