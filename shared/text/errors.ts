/** Codes of everything that can be wrong with a data file, a mail or a tokenizer. */
export type TextErrorCode =
  /** The named columns are not in the file. */
  | 'DATA_COLUMNS'
  /** The file cannot be read as CSV or JSONL at all. */
  | 'DATA_FORMAT'
  /** No record is left. */
  | 'DATA_EMPTY'
  /** No record is left because no label is one of the plan's. */
  | 'DATA_LABELS'
  /** More records or bytes than LIMITS allow. */
  | 'DATA_TOO_LARGE'
  /** The file or folder is missing or may not be read. */
  | 'DATA_UNREADABLE'
  /** The bundled data set is not installed or is not what it was. */
  | 'DATASET_MISSING'
  /** A message that no MIME parser accepts. */
  | 'MAIL_INVALID'
  | 'TOKENIZER_INVALID'
  | 'TOKENIZER_UNSUPPORTED'
  /** A number of tokens that cannot hold the special tokens, or a text that is no text. */
  | 'TOKENIZER_INPUT';
