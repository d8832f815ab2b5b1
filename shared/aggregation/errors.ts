export type AggregationErrorCode =
  /** No updates, updates of different lengths, or weights that are no weights. */
  | 'AGGREGATION_INPUT'
  /** A setting out of its range. */
  | 'AGGREGATION_OPTION'
  /** Stored state that does not belong to this optimizer. */
  | 'AGGREGATION_STATE';
