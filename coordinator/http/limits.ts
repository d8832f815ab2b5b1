/** Bounds of the HTTP surface alone; those that cross machines are in shared/core/limits.ts. Printed by docs/LIMITS.md. */
export const HTTP_LIMITS = {
  /** Server-sent event streams open at once; each holds a socket and one pending event per run and round. */
  eventStreams: 256,
  /** Pieces of an upload that one participant sends at once, each held whole until it is stored; an honest one sends one. */
  uploadsInFlight: 8,
  /** Milliseconds in which a new connection has to say hello; one that does not only holds a socket. */
  helloMs: 60_000,
  /** Predictions computed at once; the engine is shared with training's evaluation. */
  predictionsInFlight: 8,
  /** Ledger entries in one page of the JSON twin. */
  ledgerPageEntries: 1_000,
  /** JSON body of a prediction request: the longest texts allowed, as UTF-8, would not fit; 8 MiB of them do. */
  predictBytes: 8 << 20,
  /** Body that creates a run: the plan and held-out texts; the operator alone may send it. */
  runBytes: 64 << 20,
  /** Body of a small operator request (stop, invite). */
  smallBodyBytes: 16 << 10,
  /** Milliseconds the readiness probe waits for the store. */
  readinessMs: 2_000,
  /** Milliseconds between two comments that keep an event stream alive through proxies. */
  heartbeatMs: 15_000,
} as const;
