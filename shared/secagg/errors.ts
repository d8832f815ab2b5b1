/** Why a session is refused, a client loses its seat, or a client leaves. Stable; listed in docs/PROTOCOL.md. */
export type SecaggErrorCode =
  /** The configuration cannot keep its promise; refused before anything is sent. */
  | 'SECAGG_PARAMETERS'
  /** A message that does not parse, is too large, or names things that do not exist. */
  | 'SECAGG_MALFORMED'
  /** A signature that the pinned key of its sender does not verify. */
  | 'SECAGG_SIGNATURE'
  /** A message for another session, or signed for another. */
  | 'SECAGG_WRONG_SESSION'
  /** A message that this phase does not expect. */
  | 'SECAGG_WRONG_PHASE'
  /** Two different messages where one is allowed. */
  | 'SECAGG_EQUIVOCATION'
  /** The server's roster or cohort is not the pinned one. */
  | 'SECAGG_ROSTER'
  /** The same client or key twice in one list. */
  | 'SECAGG_DUPLICATE'
  /** What the server says that I said is not what I said. */
  | 'SECAGG_OWN_ENTRY'
  /** Fewer participants than the minimum cohort or the threshold. */
  | 'SECAGG_COHORT_TOO_SMALL'
  /** An X25519 key of small order: every secret with it would be zero. */
  | 'SECAGG_LOW_ORDER_KEY'
  /** A survivor set that is not a subset of those who shared, or that leaves me out. */
  | 'SECAGG_SURVIVORS'
  /** Fewer than the threshold of signatures on the survivor set that I signed. */
  | 'SECAGG_SIGNATURES'
  /** A share that does not open its commitment. */
  | 'SECAGG_SHARE'
  /** Shares that open their commitments but give another secret than the dealer advertised. */
  | 'SECAGG_RECONSTRUCTION'
  /** A round that is not newer than the last one taken part in. */
  | 'SECAGG_REPLAY'
  /** This client restarted inside the session: its one-time secrets are gone. */
  | 'SECAGG_STATE_LOST'
  /** A vector or manifest of another length than the session's. */
  | 'SECAGG_SHAPE'
  /** A noised vector was to be masked a second time. */
  | 'SECAGG_MASK_REUSED'
  /** Too late: the phase closed without this client. */
  | 'SECAGG_DEADLINE'
  /** The local application ended the session. */
  | 'SECAGG_CANCELLED';
