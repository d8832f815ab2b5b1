/** The accountants: what a sequence of releases means. No I/O; runs anywhere. */
export type { GaussianEvent, PoissonGaussianEvent, PrivacyEvent } from '../events.ts';
export { affordableRounds, type CalibrationDemand, calibrateNoise, type StageDemand, stageEvent } from './calibrate.ts';
export { filterAllows, filterEpsilon, openFilter, type PrivacyFilter, spendFromFilter } from './filter.ts';
export { DEFAULT_INTERVAL, deltaOf, epsilonBounds, epsilonOf } from './pld.ts';
export { DEFAULT_ORDERS, rdpEpsilon, rdpOf } from './rdp.ts';
export { gaussianRho, zcdpEpsilon } from './zcdp.ts';
