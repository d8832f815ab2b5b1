/** A row of an append-only stream. `text` is the RFC 8785 JSON that was appended, byte for byte. */
export interface StoredEvent {
  readonly stream: string;
  /** 0-based position in the stream. */
  readonly seq: number;
  /** Caller-chosen, unique in the stream: appending it twice is one append. */
  readonly opId: string;
  readonly text: string;
}

export type StoreErrorCode =
  /** Another writer holds this position: re-read and decide again. */
  'STORE_CONFLICT' | 'STORE_UNAVAILABLE' | 'STORE_CORRUPT' | 'STORE_BLOB_MISSING' | 'STORE_INVALID';

/**
 * Append-only streams and content-addressed blobs: all that Tacit keeps. Every promise that resolves has reached
 * stable storage. Everything else (lists, totals) is a projection that can be rebuilt.
 */
export interface Store {
  /**
   * Appends one event at `expectedSeq` (= number of events already in the stream).
   * Same `opId` and text already there → resolves with the stored event (a retry). @throws STORE_CONFLICT otherwise.
   */
  append(
    stream: string,
    expectedSeq: number,
    event: { readonly opId: string; readonly text: string },
  ): Promise<StoredEvent>;
  /** Events from `fromSeq` (default 0), in order, at most `limit`. */
  read(stream: string, fromSeq?: number, limit?: number): Promise<readonly StoredEvent[]>;
  /** Number of events in the stream, i.e. the next `expectedSeq`. */
  head(stream: string): Promise<number>;
  /** Names of the streams that begin with `prefix`, sorted. */
  streams(prefix: string): Promise<readonly string[]>;
  /** Stores bytes under their SHA-256 (lower-case hex), durably. Storing again is a no-op. */
  putBlob(bytes: Uint8Array): Promise<string>;
  /** Bytes [start, end) of a blob (all by default). @throws STORE_BLOB_MISSING */
  getBlob(sha256: string, range?: { readonly start: number; readonly end: number }): Promise<Uint8Array>;
  /** Size in bytes, or undefined when absent. */
  blobSize(sha256: string): Promise<number | undefined>;
  deleteBlob(sha256: string): Promise<void>;
  close(): Promise<void>;
}
