import express, { type Router } from 'express';
import { z } from 'zod';
import { TacitError } from '../../shared/core/errors.ts';
import { LIMITS } from '../../shared/core/limits.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { ModelView } from '../../shared/protocol/views.ts';
import type { CoordinatorService } from '../service.ts';
import { requireOperator } from './auth.ts';
import type { HttpErrorCode } from './errors.ts';
import { noStore } from './headers.ts';
import { HTTP_LIMITS } from './limits.ts';
import { idOf, parseAs } from './requests.ts';

const predictBody = z.strictObject({
  texts: z
    .array(z.string().regex(/\S/, 'the text is empty').max(LIMITS.predictTextChars))
    .min(1)
    .max(LIMITS.predictTexts),
});

/** Lists, promotes, serves and asks published models. */
export function modelsRouter(service: CoordinatorService, operatorToken: string): Router {
  const router = express.Router();
  const predictions = inFlight(HTTP_LIMITS.predictionsInFlight);

  router.get('/models', noStore, (_request, response) => {
    response.json(service.models());
  });
  router.get('/models/:id', noStore, (request, response) => {
    response.json(existing(service, idOf(request)));
  });
  router.get('/models/:id/files/*name', async (request, response) => {
    const model = existing(service, idOf(request));
    // The name is looked up in the model's own list, so no path can lead outside of it.
    const name = request.params.name.join('/');
    const file = model.files.find((f) => f.name === name);
    if (file === undefined) {
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'this model has no such file', {
        where: `model ${model.id}, file ${name}`,
      });
    }
    const etag = `"${file.sha256}"`;
    response.set({
      ETag: etag,
      'Cache-Control': request.params.id === 'current' ? 'no-cache' : 'public, max-age=31536000, immutable',
    });
    if (request.headers['if-none-match'] === etag) {
      response.status(304).end();
      return;
    }
    response.type(name.endsWith('.json') ? 'application/json' : 'application/octet-stream');
    response.send(Buffer.from(await service.modelFile(model.id, name)));
  });
  router.post('/models/:id/promote', requireOperator(operatorToken), async (request, response) => {
    response.json(await service.promote(existing(service, idOf(request)).id));
  });
  router.post(
    '/models/:id/predict',
    express.json({ limit: HTTP_LIMITS.predictBytes, inflate: false }),
    async (request, response) => {
      const model = existing(service, idOf(request));
      const { texts } = parseAs(predictBody, request.body, request);
      const results = await predictions(() => service.predict(model.id, texts));
      response.set('Cache-Control', 'no-store').json({ model: model.id, predictions: results });
    },
  );
  return router;
}

function existing(service: CoordinatorService, id: string): ModelView {
  const model = service.models().find((m) => (id === 'current' ? m.promoted : m.id === id));
  if (model === undefined) {
    throw new TacitError<ProtocolErrorCode>(
      'NOT_FOUND',
      id === 'current' ? 'no model is published yet' : 'there is no such model',
      {
        where: `model ${id}`,
        fix: 'GET /api/v1/models lists those there are.',
      },
    );
  }
  return model;
}

/** Runs at most `limit` at once and refuses the rest: a queue would only hide that the machine is full. @throws BUSY */
function inFlight(limit: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  return async (work) => {
    if (running >= limit) {
      throw new TacitError<HttpErrorCode>('BUSY', `${limit} predictions are being computed already`, {
        fix: 'Try again in a second.',
      });
    }
    running++;
    try {
      return await work();
    } finally {
      running--;
    }
  };
}
