import type { RequestHandler } from 'express';

/**
 * Content security policy of every answer. Scripts, styles, workers and connections come from this origin alone;
 * `wasm-unsafe-eval` is needed to compile WebAssembly and allows no script. Nothing may frame the pages.
 */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Of the worker that holds an approver's key for the time of a signature: it cannot connect to anything, this origin included. */
export const SIGNING_POLICY = "default-src 'none'; script-src 'self'";

/** Security headers. COOP and COEP isolate the pages, which threads in WebAssembly need. */
export function securityHeaders(publicOrigin: string): RequestHandler {
  const headers: Record<string, string> = {
    'Content-Security-Policy': CONTENT_SECURITY_POLICY,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
    ...(publicOrigin.startsWith('https:') ? { 'Strict-Transport-Security': 'max-age=31536000' } : {}),
  };
  return (_request, response, next) => {
    response.set(headers);
    next();
  };
}

/** JSON twins change with every round: never kept by caches. */
export const noStore: RequestHandler = (_request, response, next) => {
  response.set('Cache-Control', 'no-store');
  next();
};
