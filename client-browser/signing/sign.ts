import type { SignAnswer, SignRequest } from './messages.ts';

/** Signs in a worker that lives for this one signature: with it go the key and the passphrase. */
export async function signApart(request: SignRequest): Promise<SignAnswer> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'sign' });
  try {
    return await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<SignAnswer>) => resolve(data);
      worker.onerror = () => reject(new Error('the part of this page that signs could not start'));
      worker.postMessage(request, [request.keyFile.buffer as ArrayBuffer]);
    });
  } finally {
    worker.terminate();
  }
}
