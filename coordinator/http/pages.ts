import { basename } from 'node:path';
import express, { type Router } from 'express';
import { SIGNING_POLICY } from './headers.ts';

/**
 * The three pages as vite wrote them. Files below /assets carry a hash of their content in the name, so they never
 * change; pages themselves are asked for again each time.
 */
export function pagesRouter(pagesDir: string): Router {
  const router = express.Router();
  router.use(
    '/assets',
    express.static(`${pagesDir}/assets`, {
      immutable: true,
      maxAge: '1y',
      index: false,
      redirect: false,
      fallthrough: true,
      setHeaders: (response, path) => {
        if (basename(path).startsWith('sign-')) response.setHeader('Content-Security-Policy', SIGNING_POLICY);
      },
    }),
  );
  router.use(
    express.static(pagesDir, {
      extensions: ['html'],
      index: 'index.html',
      redirect: false,
      setHeaders: (response) => response.setHeader('Cache-Control', 'no-cache'),
    }),
  );
  return router;
}
