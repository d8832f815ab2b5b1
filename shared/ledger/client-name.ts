/** A client is one name in three places: its own log's origin, its witness's name, and `name` of its changes of key. */
export function clientLogName(clientId: string): string {
  return `tacit.client/${clientId}`;
}

/** The client whose log or witness this is; undefined for any other name. */
export function clientOfLog(name: string): string | undefined {
  return /^tacit\.client\/(.+)$/.exec(name)?.[1];
}
