import express, { type Response, type Router } from 'express';
import { TacitError } from '../../shared/core/errors.ts';
import type { Ledger } from '../../shared/ledger/log.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';

/** C2SP tlog-tiles: levels 0…63, N in groups of three digits, widths 1…255, nothing with a leading zero. */
const TILE = /^\/tile\/(entries|0|[1-9]|[1-5]\d|6[0-3])\/((?:x\d{3}\/)*\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;
const IMMUTABLE = 'public, max-age=31536000, immutable';

/**
 * The ledger as a static log, below one prefix: `checkpoint`, `tile/L/N[.p/W]`, `tile/entries/N[.p/W]`. Whatever is not
 * there is 404, which readers take as "ask for the full tile".
 */
export function ledgerLogRouter(ledger: Ledger): Router {
  const router = express.Router({ strict: true, caseSensitive: true });
  router.get('/checkpoint', async (_request, response) => {
    response.set({ 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'public, max-age=1' });
    response.end(await ledger.checkpoint());
  });
  router.get('/tile/*path', async (request, response) => {
    const [, level, groups, partial] = TILE.exec(request.path) ?? [];
    const index = groups === undefined ? undefined : indexOf(groups);
    const width = partial === undefined ? 256 : Number(partial);
    if (level === undefined || index === undefined || width > (partial === undefined ? 256 : 255))
      throw absent(request.path);
    const bytes =
      level === 'entries' ? await ledger.entryBundle(index, width) : await ledger.tile(Number(level), index, width);
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

/** `x001/x234/067` → 1234067; undefined for a spelling that is not the canonical one, such as `x000/005`. */
function indexOf(groups: string): number | undefined {
  const digits = groups.replaceAll(/[x/]/g, '');
  const index = Number(digits);
  return Number.isSafeInteger(index) && (digits.length === 3 || !digits.startsWith('000')) ? index : undefined;
}

function absent(path: string): TacitError<ProtocolErrorCode> {
  return new TacitError<ProtocolErrorCode>('NOT_FOUND', 'the log has no such resource', { where: path });
}
