import express, { type Response, type Router } from 'express';
import { TacitError } from '../../shared/core/errors.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import { parseTilePath } from '../../shared/ledger/tiles.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { LedgerDocuments } from '../ledger-documents.ts';

const IMMUTABLE = 'public, max-age=31536000, immutable';

/**
 * The ledger as a static log, below one prefix: `checkpoint`, `tile/L/N[.p/W]`, `tile/entries/N[.p/W]`. Whatever is not
 * there is 404, which readers take as "ask for the full tile". Beside it the documents that entries name: `plans/<sha256>.json`,
 * `rosters/<sha256>.json`.
 */
export function ledgerLogRouter(ledger: Ledger, documents: LedgerDocuments): Router {
  const router = express.Router({ strict: true, caseSensitive: true });
  router.get('/checkpoint', async (_request, response) => {
    response.set({ 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'public, max-age=1' });
    response.end(await ledger.checkpoint());
  });
  router.get('/tile/*path', async (request, response) => {
    const id = parseTilePath(request.path.slice(1));
    if (id === undefined) throw absent(request.path);
    const bytes =
      id.level === 'entries'
        ? await ledger.entryBundle(id.index, id.width)
        : await ledger.tile(id.level, id.index, id.width);
    if (bytes === undefined) throw absent(request.path);
    sendImmutable(response, bytes);
  });
  router.get(['/plans/:file', '/rosters/:file'], async (request, response) => {
    const bytes = await documents.read(request.path.slice(1));
    if (bytes === undefined) throw absent(request.path);
    sendImmutable(response, bytes);
  });
  router.use((request) => {
    throw absent(request.path);
  });
  return router;
}

function sendImmutable(response: Response, bytes: Uint8Array): void {
  response.set({ 'Content-Type': 'application/octet-stream', 'Cache-Control': IMMUTABLE });
  response.end(bytes);
}

function absent(path: string): TacitError<ProtocolErrorCode> {
  return new TacitError<ProtocolErrorCode>('NOT_FOUND', 'the log has no such resource', { where: path });
}
