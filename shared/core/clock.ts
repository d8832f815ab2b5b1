/** Time, handed in. Milliseconds since the Unix epoch. */
export interface Clock {
  now(): number;
}

/** RFC 3339 UTC text of a clock reading, for ledger entries and logs. */
export function isoTime(clock: Clock): string {
  return new Date(clock.now()).toISOString();
}
