import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/**
 * Three pages, no framework runtime beyond lit. The output goes to dist/pages, not dist/client-browser, where
 * `tsc -b` emits the same sources for checking. Nothing is inlined: the coordinator's Content-Security-Policy allows
 * scripts, styles, workers and wasm from its own origin only.
 */
export default defineConfig({
  root: here('.'),
  base: './',
  build: {
    outDir: here('../dist/pages'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // TensorFlow.js is one large chunk of the worker; the pages themselves stay small (test/browser/pages.test.ts).
    chunkSizeWarningLimit: 3000,
    rolldownOptions: {
      checks: { pluginTimings: false },
      input: { index: here('./index.html'), runs: here('./runs.html'), compliance: here('./compliance.html') },
    },
  },
  worker: {
    format: 'es',
    rolldownOptions: {
      checks: { pluginTimings: false },
      // The name tells the coordinator which policy the worker gets (coordinator/http/pages.ts).
      output: {
        entryFileNames: ({ facadeModuleId }) =>
          `assets/${facadeModuleId?.includes('/signing/') ? 'sign' : 'worker'}-[hash].js`,
      },
    },
  },
});
