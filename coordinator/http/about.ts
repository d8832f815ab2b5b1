import express, { type Router } from 'express';
import type { CoordinatorService } from '../service.ts';
import { noStore } from './headers.ts';

/** GET /about, GET /budgets */
export function aboutRouter(service: CoordinatorService): Router {
  const router = express.Router();
  router.get('/about', noStore, (_request, response) => {
    response.json(service.about());
  });
  router.get('/budgets', noStore, (_request, response) => {
    response.json(service.budgets());
  });
  return router;
}
