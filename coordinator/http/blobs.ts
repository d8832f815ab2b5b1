import { once } from 'node:events';
import express, { type Response, type Router } from 'express';
import { z } from 'zod';
import { TacitError } from '../../shared/core/errors.ts';
import { LIMITS } from '../../shared/core/limits.ts';
import type { CoordinatorService } from '../service.ts';
import { participantOf } from './auth.ts';
import type { HttpErrorCode } from './errors.ts';
import { parseAs } from './requests.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'a blob is named by its SHA-256 in lower-case hex');

/** GET /blobs/{sha256}: weights and model files for a run's participants, in ranges. */
export function blobsRouter(service: CoordinatorService, sent: (bytes: number) => void): Router {
  const router = express.Router();
  router.get('/blobs/:sha256', async (request, response) => {
    const { runId } = participantOf(service, request);
    const sha256 = parseAs(hash, request.params.sha256, request);
    const blob = await service.participantBlob(runId, sha256);
    const etag = `"${sha256}"`;
    response.set({ ETag: etag, 'Accept-Ranges': 'bytes', 'Cache-Control': 'private, max-age=31536000, immutable' });
    if (request.headers['if-none-match'] === etag) {
      response.status(304).end();
      return;
    }
    const { start, end, partial } = rangeOf(request.headers.range, blob.sizeBytes);
    response.type('application/octet-stream').set('Content-Length', String(end - start));
    if (partial) response.status(206).set('Content-Range', `bytes ${start}-${end - 1}/${blob.sizeBytes}`);
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    await stream(response, blob, start, end);
    sent(end - start);
  });
  return router;
}

/** One range of RFC 9110 §14; several at once and units other than bytes are answered with the whole. */
function rangeOf(header: string | undefined, sizeBytes: number): { start: number; end: number; partial: boolean } {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return { start: 0, end: sizeBytes, partial: false };
  const [, from = '', to = ''] = match;
  const start = from === '' ? Math.max(0, sizeBytes - Number(to)) : Number(from);
  const end = from === '' || to === '' ? sizeBytes : Math.min(sizeBytes, Number(to) + 1);
  if (start >= end) {
    throw new TacitError<HttpErrorCode>('RANGE_INVALID', `the range lies outside of the ${sizeBytes} bytes there are`, {
      fix: 'Ask for less.',
    });
  }
  return { start, end, partial: true };
}

/** Reads ahead no further than the socket takes, so memory stays flat however slow the reader is. */
async function stream(
  response: Response,
  blob: { read(start: number, end: number): Promise<Uint8Array> },
  start: number,
  end: number,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  for (let at = start; at < end; at += LIMITS.chunkBytes) {
    const bytes = await blob.read(at, Math.min(end, at + LIMITS.chunkBytes));
    if (gone.signal.aborted) return;
    if (!response.write(bytes)) {
      await once(response, 'drain', { signal: gone.signal }).catch(() => undefined);
      if (gone.signal.aborted) return;
    }
  }
  response.end();
}
