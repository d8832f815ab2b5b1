import type { RoundView } from '../../../shared/protocol/views.ts';
import { eventually } from './case.ts';
import { type Fault, Seat, STEP } from './seat.ts';

export interface ServerLabOptions {
  readonly url: string;
  /** The coordinator's operator token. */
  readonly operatorToken: string;
  /** Plan text; {@link conformancePlan} unless the coordinator has another model. */
  readonly plan: string;
  /** For one step of one case. */
  readonly timeoutMs: number;
}

/** What one round came to, seen from outside. */
export interface RoundSeen {
  readonly seats: readonly Seat[];
  /** `released` or `aborted: CODE`. */
  readonly outcome: string;
  /** Seats whose steps are in the sum, counted from 1; `wrong` when it is not such a sum; empty when nothing was released. */
  readonly sum: string;
}

export const SEATS = 6;

/**
 * A plan without privacy, so that no budget is needed and a sum can be read off the next round's weights: noise in the masked
 * vectors is a few units of the ring.
 */
export function conformancePlan(model = 'models/tacit-mini', head = 'mean'): string {
  return `
name: secagg-conformance
purpose: A conformance test of secure aggregation with scripted clients.
model: { from: ${model}, head: ${head}, maxTokens: 8 }
task: { kind: classification, labels: [none, some], text: text, label: label }
privacy: { unit: none, because: the clients are scripts and have no data, scope: conformance }
stages:
  - algorithm: none
    train: head
    rounds: 2
    longestUpdate: 1
    local: { epochs: 1, batchSize: 1, optimizer: sgd, learningRate: 1 }
    server: { optimizer: sgd, learningRate: 1 }
secureAggregation: { minimumCohort: 4, colluders: 1, maximumCohort: ${SEATS} }
deadlines: { join: 60s, training: 20s, phase: 20s }
evaluation: { every: 1000 }
clients: { minimum: ${SEATS} }
`;
}

/** A coordinator under test, at an address: runs are created with its operator's token, clients connect as clients do. */
export class ServerLab {
  readonly #o: ServerLabOptions;

  constructor(options: ServerLabOptions) {
    this.#o = options;
  }

  /** A run and a join link to it. */
  async createRun(): Promise<{ readonly id: string; readonly link: string }> {
    const held = '{"text":"none","label":"none"}\n{"text":"some","label":"some"}\n';
    const run = await this.#post('/api/v1/runs', { plan: this.#o.plan, validation: held, test: held });
    const id = String(run['id']);
    const { code } = await this.#post(`/api/v1/runs/${id}/invitations`, { uses: SEATS + 2 });
    // The link may name the coordinator by another address than the tester's.
    return { id, link: `${this.#o.url}/${String(code).slice(String(code).indexOf('#'))}` };
  }

  async stopRun(id: string): Promise<void> {
    await this.#post(`/api/v1/runs/${id}/stop`, {});
  }

  /** One round of six seats, some of which commit a fault (by seat, counted from 1). */
  async round(faults: Readonly<Record<number, Fault>> = {}): Promise<RoundSeen> {
    const { id, link } = await this.createRun();
    const seats = Array.from({ length: SEATS }, (_, i) => new Seat(i, faults[i + 1]));
    try {
      for (const seat of seats) seat.join(link);
      const { phase, reason } = await this.#firstRound(id);
      if (phase === 'aborted') return { seats, outcome: `aborted: ${reason?.split(':')[0]}`, sum: '' };
      const witness = seats.find(({ index }) => faults[index + 1]?.honest ?? faults[index + 1] === undefined) as Seat;
      const [before, after] = await eventually('the next round', this.#o.timeoutMs, () =>
        witness.weights.length > 1 ? [witness.weights[0], witness.weights[1]] : undefined,
      );
      return { seats, outcome: 'released', sum: summands(before as Float32Array, after as Float32Array) };
    } finally {
      await this.stopRun(id);
      for (const seat of seats) await seat.stop();
    }
  }

  #firstRound(id: string): Promise<RoundView> {
    return eventually('the end of the first round', 3 * this.#o.timeoutMs, async () => {
      const rounds = (await this.#json(`/api/v1/runs/${id}/rounds`)) as unknown as RoundView[];
      return rounds.find((r) => r.round === 1 && (r.phase === 'done' || r.phase === 'aborted'));
    });
  }

  #post(path: string, body: object): Promise<Record<string, unknown>> {
    const headers = { authorization: `Bearer ${this.#o.operatorToken}`, 'content-type': 'application/json' };
    return this.#json(path, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  async #json(path: string, { headers, ...init }: RequestInit = {}): Promise<Record<string, unknown>> {
    // A kept connection may be closed by the other end just when it is used again.
    const once = { ...init, headers: { ...headers, connection: 'close' } };
    const response = await fetch(`${this.#o.url}${path}`, once);
    const body = (await response.json()) as Record<string, unknown>;
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(body['error'] ?? body)}`);
    return body;
  }
}

/** Whose steps the mean of a round consists of. */
function summands(before: Float32Array, after: Float32Array): string {
  const change = after.map((x, i) => x - (before[i] as number));
  const of = [...change.keys()].filter((i) => (change[i] as number) > STEP / (2 * SEATS));
  const near = (x: number, y: number): boolean => Math.abs(x - y) < 1e-3;
  const whole = change.every((x, i) => near(x, of.includes(i) ? STEP / of.length : 0));
  return whole && of.every((i) => i < SEATS) ? of.map((i) => i + 1).join(' ') : 'wrong';
}
