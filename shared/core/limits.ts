/**
 * Every bound on what another machine can make us hold, and why it is what it is. Printed by docs/LIMITS.md.
 */
export const LIMITS = {
  /** A control message to the coordinator; the largest, shares for 255 holders with eight surplus seeds each, takes 0.4 MiB. */
  messageBytes: 1 << 20,
  /** One piece of a masked upload; large fetch bodies are slow in watched browsers, small ones cost requests. */
  chunkBytes: 4 << 20,
  /** A ledger entry (C2SP tlog-tiles entry bundles carry a 16-bit length). */
  ledgerEntryBytes: 65_535,
  /** Clients in one cohort on the complete graph. */
  cohortClients: 1_000,
  /** Clients in the lists of one session (simulations; a plan allows 64): the keys of so many are 5 MB to each client. */
  sessionClients: 10_000,
  /** Chunks in one upload's manifest: the largest update in pieces of 20 kB. */
  uploadChunks: 100_000,
  /** Trainable numbers in one update: BERT-large with room. */
  updateElements: 500_000_000,
  /** A line of a data file; longer ones are dropped and reported. */
  recordBytes: 1 << 20,
  /** Records of one client. */
  records: 5_000_000,
  /** A plan file. */
  planBytes: 256 << 10,
  /** Texts in one prediction request. */
  predictTexts: 256,
  /** Characters in one text of a prediction request. */
  predictTextChars: 100_000,
} as const;
