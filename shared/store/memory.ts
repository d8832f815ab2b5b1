import { sha256Hex } from '../core/hash.ts';
import { blobMissing, checkAppend, checkBlobName, checkRange, checkStream, conflict } from './names.ts';
import type { Store, StoredEvent } from './port.ts';

interface MemoryStream {
  readonly events: StoredEvent[];
  readonly byOpId: Map<string, StoredEvent>;
}

/**
 * A store that forgets when the process ends: a participant's page that keeps nothing, simulations of many clients.
 * Same answers as the durable adapters (test/conformance/store.ts).
 */
export function createMemoryStore(): Store {
  const streams = new Map<string, MemoryStream>();
  const blobs = new Map<string, Uint8Array>();

  return {
    async append(stream, expectedSeq, event) {
      checkAppend(stream, expectedSeq, event);
      const held = streams.get(stream) ?? { events: [], byOpId: new Map<string, StoredEvent>() };
      const mine = held.byOpId.get(event.opId);
      if (mine?.text === event.text) return mine;
      if (mine !== undefined || expectedSeq !== held.events.length) throw conflict(stream, expectedSeq);
      const stored = { stream, seq: expectedSeq, opId: event.opId, text: event.text };
      held.events.push(stored);
      held.byOpId.set(event.opId, stored);
      streams.set(stream, held);
      return stored;
    },
    async read(stream, fromSeq = 0, limit = Number.POSITIVE_INFINITY) {
      checkStream(stream);
      return streams.get(stream)?.events.slice(fromSeq, fromSeq + limit) ?? [];
    },
    async head(stream) {
      checkStream(stream);
      return streams.get(stream)?.events.length ?? 0;
    },
    async streams(prefix) {
      return [...streams.keys()].filter((name) => name.startsWith(prefix)).sort();
    },
    async putBlob(bytes) {
      const key = sha256Hex(bytes);
      if (!blobs.has(key)) blobs.set(key, bytes.slice());
      return key;
    },
    async getBlob(sha256, range) {
      checkBlobName(sha256);
      const bytes = blobs.get(sha256);
      if (bytes === undefined) throw blobMissing(sha256);
      const { start, end } = checkRange(sha256, bytes.length, range);
      return bytes.slice(start, end);
    },
    async blobSize(sha256) {
      checkBlobName(sha256);
      return blobs.get(sha256)?.length;
    },
    async deleteBlob(sha256) {
      checkBlobName(sha256);
      blobs.delete(sha256);
    },
    async close() {},
  };
}
