import * as tf from '@tensorflow/tfjs';
import { browserEngineCandidates, chooseBrowserEngine } from '../../../client-browser/worker/engines.ts';
import { seededRng, uniformInt } from '../../../shared/core/rng.ts';
import type { Engine } from '../../../shared/engine/engine.ts';
import { createFallbackEngine } from '../../../shared/engine/fallback.ts';
import type { EngineRow } from '../../../shared/engine/select.ts';
import { clippedGradientSum, type GradientSum } from '../../../shared/training/dp-fedsgd.ts';
import type { Finding } from '../../conformance/findings.ts';
import { checkBertCase } from '../../support/bert-conformance.ts';
import { distance, tinyBert } from '../../support/tiny-bert.ts';

export interface CaseRequest {
  /** `choose`, `lose context`, or the name of one candidate. */
  readonly engine: string;
  /** Paths of the case's files, to be fetched below /vectors/<directory>/. */
  readonly directory: string;
  readonly files: readonly string[];
}

export type CaseResult =
  | { readonly findings: readonly Finding[] }
  | { readonly switches: readonly string[]; readonly examples: number; readonly difference: number }
  | { readonly report: readonly EngineRow[]; readonly engine: string; readonly secondsPerExample: number }
  | { readonly error: string };

addEventListener('message', (event: MessageEvent<CaseRequest>) => {
  answer(event.data).then(
    (result) => postMessage(result),
    (error: unknown) =>
      postMessage({ error: error instanceof Error ? `${error.stack}` : String(error) } satisfies CaseResult),
  );
});

/**
 * A clipped sum over several micro-batches on WebGL whose context is taken away during the third of them, beside the same
 * sum in plain JavaScript.
 */
async function loseContext(): Promise<CaseResult> {
  const candidates = browserEngineCandidates();
  const open = (name: string) => (candidates.find((c) => c.name === name) as (typeof candidates)[number]).open();
  const webgl = await open('tfjs webgl');
  let runs = 0;
  const cut: Engine = {
    ...webgl,
    async compile(graph, parameters) {
      const step = await webgl.compile(graph, parameters);
      return {
        dispose: () => step.dispose(),
        async run(feeds, fetches) {
          const running = step.run(feeds, fetches);
          runs += 1;
          if (runs === 3) loseWebglContext();
          await running;
        },
      };
    },
  };
  const switches: string[] = [];
  const rest = candidates.filter(({ name }) => name === 'tfjs wasm' || name === 'tfjs cpu');
  const engine = createFallbackEngine(cut, rest, (from, to) => switches.push(`${from} → ${to}`));
  const lost = await clippedSum(engine);
  const expected = await clippedSum(await open('tfjs cpu'));
  return { switches, examples: lost.examples, difference: distance(lost.sum, expected.sum) };
}

function loseWebglContext(): void {
  const { gl } = (tf.backend() as unknown as { gpgpu: { gl: WebGL2RenderingContext } }).gpgpu;
  gl.getExtension('WEBGL_lose_context')?.loseContext();
}

/** Of eleven short texts in micro-batches of four. */
async function clippedSum(engine: Engine): Promise<GradientSum> {
  const bert = await tinyBert(engine);
  const rng = seededRng('context');
  const examples = Array.from({ length: 11 }, (_, i) => ({
    ids: Int32Array.from({ length: 8 }, () => 5 + uniformInt(rng, 40)),
    label: i % 2,
  }));
  const shape = { batch: 4, tokens: 12 };
  return clippedGradientSum({ bert, examples, indices: [...examples.keys()], l2Clip: 0.1, shape });
}

async function answer(request: CaseRequest): Promise<CaseResult> {
  if (request.engine === 'lose context') return loseContext();
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
