import { browserEngineCandidates } from '../../client-browser/worker/engines.ts';
import { configOf, l2Clip, openTrainee, type Shape, shapes, weightsOf } from '../training/ours.ts';

addEventListener('message', ({ data }: MessageEvent<string>) => {
  measure(data).then(postMessage, (error: unknown) => postMessage({ error: String(error) }));
});

/** Private steps of the tiny shape on one engine. */
async function measure(name: string): Promise<{ milliseconds: number[] }> {
  const candidate = browserEngineCandidates().find((c) => c.name === name);
  if (candidate === undefined) throw new Error(`no candidate ${name}`);
  const shape = shapes['tiny'] as Shape;
  const config = configOf(shape);
  const trainee = await openTrainee(await candidate.open(), shape, config, weightsOf(config), 'all');
  await trainee.step(l2Clip);
  postMessage('ready');
  const milliseconds: number[] = [];
  for (let i = 0; i < 8; i++) {
    const start = performance.now();
    await trainee.step(l2Clip);
    milliseconds.push(performance.now() - start);
  }
  return { milliseconds };
}
