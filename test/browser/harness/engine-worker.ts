import { browserEngineCandidates, chooseBrowserEngine } from '../../../client-browser/worker/engines.ts';
import type { EngineRow } from '../../../shared/engine/select.ts';
import { checkBertCase, type Finding } from '../../support/bert-conformance.ts';

export interface CaseRequest {
  /** `choose`, or the name of one candidate. */
  readonly engine: string;
  /** Paths of the case's files, to be fetched below /vectors/<directory>/. */
  readonly directory: string;
  readonly files: readonly string[];
}

export type CaseResult =
  | { readonly findings: readonly Finding[] }
  | { readonly report: readonly EngineRow[]; readonly engine: string; readonly secondsPerExample: number }
  | { readonly error: string };

addEventListener('message', (event: MessageEvent<CaseRequest>) => {
  answer(event.data).then(
    (result) => postMessage(result),
    (error: unknown) =>
      postMessage({ error: error instanceof Error ? `${error.stack}` : String(error) } satisfies CaseResult),
  );
});

async function answer(request: CaseRequest): Promise<CaseResult> {
  if (request.engine === 'choose') {
    const { engine, report, secondsPerExample } = await chooseBrowserEngine(() => {});
    return { engine: engine.name, report, secondsPerExample };
  }
  const candidate = browserEngineCandidates().find((c) => c.name === request.engine);
  if (candidate === undefined) throw new Error(`no candidate ${request.engine}`);
  const files = new Map<string, Uint8Array>();
  for (const path of request.files) {
    const response = await fetch(`/vectors/${request.directory}/${path}`);
    files.set(path, new Uint8Array(await response.arrayBuffer()));
  }
  return { findings: await checkBertCase(files, await candidate.open()) };
}
