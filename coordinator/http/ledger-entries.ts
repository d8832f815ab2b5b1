import express, { type Router } from 'express';
import { z } from 'zod';
import { hex } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { Ledger, LedgerRecord } from '../../shared/ledger/log.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { LedgerEntriesView } from '../../shared/protocol/views.ts';
import { noStore } from './headers.ts';
import { HTTP_LIMITS } from './limits.ts';
import { parseAs } from './requests.ts';

const whole = z
  .string()
  .regex(/^(0|[1-9]\d{0,14})$/, 'a whole number')
  .transform(Number);
const page = z.object({
  from: whole.default(0),
  limit: whole.pipe(z.number().min(1).max(HTTP_LIMITS.ledgerPageEntries)).default(100),
});

/** The ledger for people: entries as JSON, one entry byte for byte, and its proof as a tlog-proof file. */
export function ledgerEntriesRouter(ledger: Ledger): Router {
  const router = express.Router();
  router.get('/ledger/entries', noStore, async (request, response) => {
    const { from, limit } = parseAs(page, request.query, request);
    const size = ledger.size;
    const entries = (await ledger.entries(from, from + limit)).map(view);
    response.json({ size, entries } satisfies LedgerEntriesView);
  });
  router.get('/ledger/entries/:file', async (request, response) => {
    const [, digits, proof] = /^(0|[1-9]\d{0,14})(\.tlog-proof)?$/.exec(request.params.file) ?? [];
    const index = Number(digits);
    if (digits === undefined || index >= ledger.size) {
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', `the ledger has ${ledger.size} entries`, {
        where: request.path,
      });
    }
    if (proof === undefined) {
      response.set('Cache-Control', 'no-cache').json(view(await ledger.entry(index)));
      return;
    }
    response.set({ 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' });
    response.end(await ledger.proofFile(index));
  });
  return router;
}

function view({ index, leafHash, entry }: LedgerRecord): LedgerEntriesView['entries'][number] {
  return { index, leafHash: hex(leafHash), entry };
}
