/** The accountants: what a sequence of releases means. No I/O; runs anywhere. */
export type { GaussianEvent, PoissonGaussianEvent, PrivacyEvent } from '../events.ts';
export { type Bounds, deltaBounds, epsilonBounds } from './bounds.ts';
export { affordableRounds, type CalibrationDemand, calibrateNoise, type StageDemand, stageEvent } from './calibrate.ts';
export { filterAllows, filterEpsilon, openFilter, type PrivacyFilter, spendFromFilter } from './filter.ts';
export { DEFAULT_INTERVAL, deltaOf, epsilonOf } from './pld.ts';
export { DEFAULT_ORDERS, rdpEpsilon, rdpOf } from './rdp.ts';
export { gaussianRho, zcdpEpsilon } from './zcdp.ts';
