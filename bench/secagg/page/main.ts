/** The page: a client's round in a worker, over as many numbers as the address says. */
export type PageResult = { readonly wall: number; readonly cpu: number | null } | { readonly error: string };

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
const report = (result: PageResult): Promise<Response> =>
  fetch('/result', { method: 'POST', body: JSON.stringify(result) });
worker.onmessage = ({ data }: MessageEvent<PageResult>) => void report(data);
worker.onerror = ({ message }) => void report({ error: message });
worker.postMessage(JSON.parse(decodeURIComponent(location.hash.slice(1))));
