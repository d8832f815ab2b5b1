import { openIdentity } from '../../../client-browser/worker/identity.ts';
import { openIndexedDbStore } from '../../../client-browser/worker/indexeddb-store.ts';
import { base64, fromBase64 } from '../../../shared/core/bytes.ts';
import { errorCode } from '../../../shared/core/errors.ts';
import { free } from '../../../shared/core/free.ts';
import { systemRng } from '../../../shared/core/rng.ts';
import type { RingBits } from '../../../shared/kernels/packing.ts';
import type { Store } from '../../../shared/store/port.ts';
import { seededUpload } from '../../support/seeded-upload.ts';
import type { CaseRequest, CaseResult } from './engine-worker.ts';

/** What the tests call in the page. Values cross as JSON; bytes as `{ base64 }`. */
export interface Harness {
  openStore(name: string): Promise<number>;
  callStore(store: number, method: keyof Store, args: readonly unknown[]): Promise<StoreAnswer>;
  checkEngine(request: CaseRequest): Promise<CaseResult>;
  uploadHashes(ringBits: RingBits): Promise<string[]>;
  lengthOnceFreed(): Promise<number>;
  identity(): Promise<{ readonly publicKey: string; readonly sealed: boolean }>;
}

export type StoreAnswer = { readonly value: unknown } | { readonly code: string | undefined; readonly message: string };

const stores: Store[] = [];

const harness: Harness = {
  async openStore(name) {
    stores.push(await openIndexedDbStore(name));
    return stores.length - 1;
  },
  async callStore(store, method, args) {
    try {
      const call = (stores[store] as Store)[method] as (...args: unknown[]) => Promise<unknown>;
      return { value: toJson(await call(...args.map(fromJson))) };
    } catch (error) {
      return { code: errorCode(error), message: String(error) };
    }
  },
  checkEngine(request) {
    const worker = new Worker(new URL('./engine-worker.ts', import.meta.url), { type: 'module' });
    return new Promise((resolve, reject) => {
      worker.onmessage = (event: MessageEvent<CaseResult>) => {
        worker.terminate();
        resolve(event.data);
      };
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage(request);
    });
  },
  uploadHashes: seededUpload,
  async lengthOnceFreed() {
    const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(1)));
    free(bytes);
    return bytes.length;
  },
  async identity() {
    const { signer, sealed } = await openIdentity(systemRng);
    return { publicKey: base64(signer.publicKey), sealed };
  },
};
(globalThis as unknown as { harness: Harness }).harness = harness;

function fromJson(value: unknown): unknown {
  if (value !== null && typeof value === 'object' && 'base64' in value) return fromBase64(value.base64 as string);
  return value === null ? undefined : value;
}

function toJson(value: unknown): unknown {
  return value instanceof Uint8Array ? { base64: base64(value) } : value;
}
