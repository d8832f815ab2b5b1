import { epsilonOf, type PrivacyEvent, stageEvent } from './accountant/index.ts';
import { type Claim, type ClaimedStage, checkClaim, type PrivacyUnit } from './claims.ts';
import { checked, privacyError } from './errors.ts';
import { oddsInWords } from './explain.ts';
import { type Colluding, effectiveNoiseMultiplier } from './mechanism-parameters.ts';

export type { Claim, ClaimedStage, PrivacyUnit } from './claims.ts';

/** Who tries to learn about a unit, and whose noise it knows. */
export interface Adversary {
  /** `coordinator`, `coordinator + 1 colluder`, `everyone but you`. */
  readonly name: string;
  readonly colluding: Colluding;
}

/** The JSON twin of a guarantee: what pages, ledger and logs print. */
export interface GuaranteeJson {
  readonly epsilon: number;
  readonly delta: number;
  readonly unit: PrivacyUnit;
  readonly neighbouringRelation: string;
  readonly mechanism: string;
  readonly accountant: string;
  readonly adversary: string;
  readonly assumptions: readonly string[];
  readonly odds: string;
}

/** Only this module holds it, so only {@link guaranteesFor} can make a guarantee. */
const mint = Symbol('guarantee');

class Guarantee {
  readonly #json: GuaranteeJson;

  constructor(key: symbol, json: GuaranteeJson) {
    if (key !== mint) throw privacyError('PRIVACY_CLAIM_FALSE', 'a guarantee is computed by guaranteesFor only');
    this.#json = Object.freeze(json);
  }

  /** ε, δ and everything that they mean nothing without. */
  toView(): GuaranteeJson {
    return this.#json;
  }

  toJSON(): GuaranteeJson {
    return this.#json;
  }

  /** One sentence with the unit, the adversary and both numbers. */
  toString(): string {
    const { epsilon, delta, unit, adversary, mechanism } = this.#json;
    return `ε = ${roundUp(epsilon)} at δ = ${delta} for one ${unit} against ${adversary} (${mechanism})`;
  }
}

/** A privacy claim as a value: it cannot be made from a bare ε, and has none to print without the rest. */
export type PrivacyGuarantee = Guarantee;

/**
 * The guarantees of a plan against three adversaries: the coordinator; the coordinator with all assumed colluders; all
 * others together against one client, whose own noise is then all that is left.
 * @throws PRIVACY_CLAIM_FALSE and PRIVACY_NOISE_TOO_SMALL for a claim that its mechanism does not keep;
 *   PRIVACY_PARAMETER_INVALID
 */
export function guaranteesFor(claim: Claim): PrivacyGuarantee[] {
  checked('delta', claim.delta, { moreThan: 0, lessThan: 1 });
  checkClaim(claim);
  return adversariesOf(claim).map((adversary) => new Guarantee(mint, against(claim, adversary)));
}

function adversariesOf({ colluders }: Claim): Adversary[] {
  const some = `coordinator + ${colluders} colluder${colluders === 1 ? '' : 's'}`;
  return [
    { name: 'coordinator', colluding: 0 },
    { name: some, colluding: colluders },
    { name: 'everyone but you', colluding: 'all others' },
  ];
}

function against(claim: Claim, adversary: Adversary): GuaranteeJson {
  const events = claim.stages.map((stage) => eventAgainst(stage, adversary));
  const epsilon = epsilonOf(events, accountedDelta(claim));
  return {
    epsilon,
    delta: claim.delta,
    unit: claim.unit,
    neighbouringRelation: `add or remove one ${claim.unit}`,
    mechanism: `${mechanismInWords(claim)}${samplingInWords(claim)}, ${claim.stages.reduce((n, s) => n + s.rounds, 0)} releases`,
    accountant: 'privacy loss distribution, connect-the-dots, grid 1e-4, upper bound',
    adversary: adversary.name,
    assumptions: assumptionsOf(claim, adversary),
    odds: oddsInWords(epsilon, claim.delta, claim.unit),
  };
}

/** A stage's event with the noise that is left against this adversary in any opened sum. */
function eventAgainst(stage: ClaimedStage, adversary: Adversary): PrivacyEvent {
  const colluding = stage.contribution === 'noisy-local-steps' ? 'all others' : adversary.colluding;
  return stageEvent(stage, effectiveNoiseMultiplier(stage.mechanism, colluding));
}

/** δ that is left for the accountant after every round's share of the mechanism (β and the distance of the noise). */
function accountedDelta(claim: Claim): number {
  const rounding = claim.stages.reduce((sum, stage) => sum + stage.rounds * stage.mechanism.deltaPerRound, 0);
  if (rounding < claim.delta / 2) return claim.delta - rounding;
  throw privacyError('PRIVACY_DELTA_UNREACHABLE', `rounding alone costs δ = ${rounding}`, {
    where: 'delta',
    fix: 'Give a larger δ or fewer rounds.',
  });
}

function mechanismInWords({ stages }: Claim): string {
  const local = stages.filter((stage) => stage.contribution === 'noisy-local-steps').length;
  if (local === 0) return 'distributed discrete Gaussian';
  return local === stages.length
    ? 'discrete Gaussian at each client'
    : 'discrete Gaussian, distributed or at each client';
}

function samplingInWords({ stages }: Claim): string {
  return stages.some((stage) => stage.samplingProbability < 1) ? ' with Poisson sampling' : '';
}

function assumptionsOf(claim: Claim, adversary: Adversary): string[] {
  const onlyLocal = claim.stages.every((stage) => stage.contribution === 'noisy-local-steps');
  const colluding = onlyLocal ? 'all others' : adversary.colluding;
  const noise =
    colluding === 'all others'
      ? 'your own client adds its noise and keeps it secret'
      : `all ${colluding === 0 ? '' : `but ${colluding} `}clients in every sum add their share of the noise and keep it secret`;
  return [
    noise,
    ...(claim.minimumCohort > 1 ? [`no sum over fewer than ${claim.minimumCohort} clients is unmasked`] : []),
    'the random bytes of the clients’ machines are unpredictable',
    ...(claim.stages.some((stage) => stage.samplingProbability < 1)
      ? ['which units a round sampled stays secret']
      : []),
    `every ${claim.unit} is held by one client and its contribution is clipped there`,
    ...(claim.stages.some((stage) => stage.weighted === true)
      ? [
          'a client’s weight, its examples up to a public maximum, is one more number of its update: clipped and noised with it',
        ]
      : []),
  ];
}

function roundUp(epsilon: number): string {
  return (Math.ceil(epsilon * 1000) / 1000).toString();
}
