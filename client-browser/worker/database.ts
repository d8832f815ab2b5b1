/** IndexedDB as promises, and only as much of it as the worker needs. */

/** The browser's storage, named so that an origin can be wiped of it. */
export const DATABASES = { store: 'tacit-store', identity: 'tacit-identity' } as const;

/** Opens a database, making it if it is new. */
export function openDatabase(name: string, make: (db: IDBDatabase) => void): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => make(request.result);
  return answer(request).then((db) => {
    // Another tab that deletes the data must not wait for this one.
    db.onversionchange = () => db.close();
    return db;
  });
}

export function deleteDatabase(name: string): Promise<void> {
  return answer(indexedDB.deleteDatabase(name)).then(() => undefined);
}

/** The result of one request. */
export function answer<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('the browser’s storage failed'));
  });
}

/** Resolves when the transaction has reached the disk. */
export function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('the browser’s storage gave up a transaction'));
  });
}
