/** One text of a participant. It never leaves the process that read it. */
export interface TextRecord {
  /** `source:line`, unique within one reading. */
  readonly id: string;
  /** Not empty, at most LIMITS.recordBytes characters. */
  readonly text: string;
  /** One of the plan's labels; as written for multi-label and regression; empty where texts have none. */
  readonly label: string;
  /** Multi-label: 1 for each of the plan's labels that it has, else 0. Regression: the number. */
  readonly values?: readonly number[];
  /** Whose record it is, when the unit of privacy is a person. */
  readonly person?: string;
}
