/** The page: starts the worker with the engine that the address names, watches its own thread, and reports. */
export interface BrowserResult {
  readonly engine: string;
  /** Wall time of each private step. */
  readonly milliseconds: readonly number[];
  /** Longest task of the page's main thread while the worker trained; 0 when none took 50 ms, which is what a long task is. */
  readonly longestTaskMs: number;
  readonly error?: string;
}

const engine = decodeURIComponent(location.hash.slice(1));
let longestTaskMs = 0;
const observer = new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longestTaskMs = Math.max(longestTaskMs, duration);
});
const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
const report = (result: BrowserResult): Promise<Response> =>
  fetch('/result', { method: 'POST', body: JSON.stringify(result) });
worker.onmessage = ({ data }: MessageEvent<'ready' | { milliseconds: number[] } | { error: string }>) => {
  if (data === 'ready') observer.observe({ type: 'longtask' });
  else if ('error' in data) void report({ engine, milliseconds: [], longestTaskMs, error: data.error });
  else void report({ engine, milliseconds: data.milliseconds, longestTaskMs });
};
worker.onerror = ({ message }) => void report({ engine, milliseconds: [], longestTaskMs, error: message });
worker.postMessage(engine);
