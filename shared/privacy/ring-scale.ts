import type { MechanismDemand } from './mechanism-demand.ts';
import { LEAST_COMPONENT_SIGMA } from './noise-ladder.ts';
import { isRotated, noiseReach, roomPerClient } from './ring-room.ts';
import { BETA, FLOAT_SLACK, localNoise, roundedSensitivity } from './rounded-noise.ts';

/** Examples of one client whose gradients may all point the same way before a ring of 32 bits is too small. */
const ALIGNED_EXAMPLES = 4096;
/** The same for a small ring, where room costs noise: as many as it should hold, and has to. */
const ALIGNED_UNITS = { wanted: 256, least: 32 };
/** Where a client is one unit, clipped in float32. */
const ONE_UNIT = { wanted: 1 + FLOAT_SLACK, least: 1 + FLOAT_SLACK };
/** A small ring is refused where rounding would cost more than a quarter of σ. */
const MOST_ROUNDING_COST = 1.25;
/** And for a vector without noise of its own, where it would change the mean by more than a twentieth of the bound. */
const MOST_TRANSPORT_ERROR = 0.05;

/** s·C: ring units for a clip of 1, as many as the ring has room for. Undefined when that is too few. */
export function scaledClip(demand: MechanismDemand): number | undefined {
  return isRotated(demand) ? thin(demand) : wide(demand);
}

/**
 * The same for a vector that only travels: at half of what the ring holds, or undefined where the least noise and rounding
 * would show in the mean.
 */
export function transportScaledClip(demand: MechanismDemand): number | undefined {
  const { dimension, minimumCohort } = demand;
  const half = roomPerClient(demand, LEAST_COMPONENT_SIGMA) / 2;
  const error = Math.sqrt((dimension * (LEAST_COMPONENT_SIGMA ** 2 + 1 / 4)) / minimumCohort) / half;
  return isRotated(demand) && !(error <= MOST_TRANSPORT_ERROR) ? undefined : half;
}

/** s·C at which rounding costs next to nothing: 1/(8·k²) of σ at k·√d, and 9.1/(2·s·C) through β, 0.1 % or less each. */
function preferred({ dimension }: MechanismDemand): number {
  return Math.max(32 * Math.sqrt(dimension), 8192);
}

/** Undefined when 32 bits do not hold a unit of each client at 10√d. */
function wide(demand: MechanismDemand): number | undefined {
  const least = 10 * Math.sqrt(demand.dimension);
  const fitting = 2 ** (demand.ringBits - 1) / unitsUsed(demand, ALIGNED_EXAMPLES);
  const clip = Math.min(preferred(demand), Math.max(least, fitting));
  return unitsHeld(demand, clip) < 1 ? undefined : clip;
}

/**
 * In a small ring noise and units need the room that rounding would like: the preferred s·C, or a half, a quarter, … of it, the
 * first that holds the units wanted; undefined when even the last that rounding allows holds too few.
 */
function thin(demand: MechanismDemand): number | undefined {
  const { least, wanted } = demand.oneUnit === true ? ONE_UNIT : ALIGNED_UNITS;
  let clip = preferred(demand);
  let held = unitsHeld(demand, clip);
  for (let next = clip / 2; held < wanted && roundingCost(demand, next) <= MOST_ROUNDING_COST; next /= 2) {
    clip = next;
    held = unitsHeld(demand, clip);
  }
  return held < least ? undefined : clip;
}

/** Units of each client that may pull the same way, all in one block, before the ring is too small. */
function unitsHeld(demand: MechanismDemand, scaledClip: number): number {
  return roomPerClient(demand, localNoise(demand, scaledClip).sigma) / scaledClip;
}

/** Δ̃/(s·C): how many times more noise there is than without rounding. */
function roundingCost({ dimension }: MechanismDemand, scaledClip: number): number {
  return roundedSensitivity(scaledClip, dimension, BETA) / scaledClip;
}

/** Units of s·C that `examples` aligned examples of every client and the noise take up on one side of the ring. */
function unitsUsed(demand: MechanismDemand, examples: number): number {
  const noise = noiseReach(demand, localNoise(demand, 1e6).sigma) / 1e6;
  return demand.cohortMax * examples + noise;
}
