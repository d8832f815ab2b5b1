import type {
  AboutView,
  BudgetView,
  CoordinatorEvent,
  LedgerEntriesView,
  ModelView,
  PolicyView,
  ProposalView,
  RoundView,
  RunView,
} from '../../shared/protocol/views.ts';

/** The coordinator's JSON twins, same origin. Nothing they say is trusted where it can be recomputed. */

/** What a page shows when a request fails: a sentence, and what to do. */
export class RequestProblem extends Error {
  override readonly name = 'RequestProblem';
  /** HTTP status; 0 when the coordinator did not answer. */
  readonly status: number;
  readonly code: string;
  readonly fix: string | undefined;

  constructor(status: number, code: string, message: string, fix?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.fix = fix;
  }
}

/** Largest wait for a JSON answer. */
const TIMEOUT_MS = 20_000;

async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new RequestProblem(
      0,
      'COORDINATOR_GONE',
      'The coordinator does not answer.',
      'Check that it is running; this page tries again by itself.',
    );
  }
  if (response.ok) return response;
  throw await problemOf(response, path);
}

async function problemOf(response: Response, path: string): Promise<RequestProblem> {
  const body = (await response.json().catch(() => ({}))) as {
    error?: { code?: string; what?: string; fix?: string };
    code?: string;
    what?: string;
    fix?: string;
  };
  const error = body.error ?? body;
  const what = error.what ?? `The coordinator answered ${response.status} for ${path}.`;
  return new RequestProblem(response.status, error.code ?? `HTTP_${response.status}`, what, error.fix);
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await request(path, init)).json()) as T;
}

function post<T>(path: string, body: unknown, operatorToken?: string): Promise<T> {
  const authorization = operatorToken === undefined ? {} : { authorization: `Bearer ${operatorToken}` };
  return json<T>(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization },
    body: JSON.stringify(body),
  });
}

const id = encodeURIComponent;

/** The answer of `POST /api/v1/models/{id}/predict`. */
export interface PredictView {
  readonly predictions: readonly {
    readonly label: string;
    readonly scores: Readonly<Record<string, number>>;
    /** Of a model that fills in [MASK]. */
    readonly masks?: readonly Readonly<Record<string, number>>[];
  }[];
}

export const api = {
  about: () => json<AboutView>('/api/v1/about'),
  runs: () => json<readonly RunView[]>('/api/v1/runs'),
  run: (run: string) => json<RunView>(`/api/v1/runs/${id(run)}`),
  rounds: (run: string) => json<readonly RoundView[]>(`/api/v1/runs/${id(run)}/rounds`),
  models: () => json<readonly ModelView[]>('/api/v1/models'),
  policy: () => json<PolicyView>('/api/v1/budgets/proposals'),
  propose: (opening: unknown, operatorToken: string) =>
    post<ProposalView>('/api/v1/budgets/proposals', opening, operatorToken),
  proposeApprovers: (change: unknown, operatorToken: string) =>
    post<ProposalView>('/api/v1/approvers/proposals', change, operatorToken),
  approve: (proposal: string, approval: unknown, operatorToken?: string) =>
    post<ProposalView>(`/api/v1/budgets/proposals/${id(proposal)}/approvals`, approval, operatorToken),
  withdraw: async (proposal: string, operatorToken: string): Promise<void> => {
    const headers = { authorization: `Bearer ${operatorToken}` };
    await request(`/api/v1/budgets/proposals/${id(proposal)}`, { method: 'DELETE', headers });
  },
  budgets: () => json<readonly BudgetView[]>('/api/v1/budgets'),
  entries: (from: number, limit: number) =>
    json<LedgerEntriesView>(`/api/v1/ledger/entries?from=${from}&limit=${limit}`),
  createRun: (run: unknown, operatorToken: string) => post<RunView>('/api/v1/runs', run, operatorToken),
  invite: (run: string, request: unknown, operatorToken: string) =>
    post<{ readonly code: string }>(`/api/v1/runs/${id(run)}/invitations`, request, operatorToken),
  stop: (run: string, operatorToken: string) => post<unknown>(`/api/v1/runs/${id(run)}/stop`, {}, operatorToken),
  promote: (model: string, operatorToken: string) =>
    post<unknown>(`/api/v1/models/${id(model)}/promote`, {}, operatorToken),
  predict: (model: string, texts: readonly string[]) =>
    post<PredictView>(`/api/v1/models/${id(model)}/predict`, { texts }),
  modelFile: (model: string, name: string) => `/api/v1/models/${id(model)}/files/${name.split('/').map(id).join('/')}`,
};

/**
 * Follows one run's server-sent events. The browser reconnects by itself; `onState` says when the line is down.
 * @returns a function that ends it.
 */
export function followRun(
  run: string,
  onEvent: (event: CoordinatorEvent) => void,
  onState: (connected: boolean) => void,
): () => void {
  const source = new EventSource(`/api/v1/events?run=${id(run)}`);
  const receive = (message: MessageEvent<string>): void => onEvent(JSON.parse(message.data) as CoordinatorEvent);
  for (const kind of ['run', 'round', 'log']) source.addEventListener(kind, receive);
  source.onopen = () => onState(true);
  source.onerror = () => onState(false);
  return () => source.close();
}
