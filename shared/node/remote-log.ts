import { errorCode, TacitError } from '../core/errors.ts';
import { type Checkpoint, peekCheckpoint } from '../ledger/checkpoint.ts';
import { documentOf } from '../ledger/documents.ts';
import { decodeEntry } from '../ledger/entries.ts';
import {
  entryBundlesOf,
  formatEntryBundle,
  parseEntryBundle,
  TILE_WIDTH,
  type TileId,
  tilePath,
  tilesOf,
} from '../ledger/tiles.ts';

export type RemoteLogErrorCode = 'LOG_UNREACHABLE' | 'LOG_TOO_LARGE';

const TIMEOUT_MS = 30_000;
const CHECKPOINT_BYTES = 1_000_000;
/** Requests in flight at once. */
const PARALLEL = 8;

/**
 * A static log read as any C2SP tlog-tiles client reads it: the checkpoint, then every tile and entry bundle of its size; a
 * partial tile that is gone is cut out of the full one; then the documents that entries name, which a Tacit log has beside it. What
 * the log does not have is left out, for `verify` to name.
 * @param url - prefix of the log, e.g. `https://coordinator/ledger`
 * @throws LOG_UNREACHABLE, LOG_TOO_LARGE
 */
export async function fetchLog(url: string, maxBytes: number): Promise<Map<string, Uint8Array>> {
  const base = url.replace(/\/+$/, '');
  const note = await resource(`${base}/checkpoint`, CHECKPOINT_BYTES);
  const files = new Map<string, Uint8Array>();
  if (note === undefined) return files;
  files.set('checkpoint', note);
  const claimed = sizeOf(note);
  if (claimed === undefined) return files;
  let left = maxBytes - note.length;
  const take = async <T>(
    wanted: readonly T[],
    path: (of: T) => string,
    get: (of: T) => Promise<Uint8Array | undefined>,
  ) => {
    for (let at = 0; at < wanted.length; at += PARALLEL) {
      const page = wanted.slice(at, at + PARALLEL);
      for (const [i, bytes] of (await Promise.all(page.map(get))).entries()) {
        if (bytes === undefined) continue;
        left -= bytes.length;
        if (left < 0) throw tooLarge(url, maxBytes);
        files.set(path(page[i] as T), bytes);
      }
    }
  };
  await take([...tilesOf(claimed.size), ...entryBundlesOf(claimed.size)], tilePath, (t) => tileBytesOf(base, t, left));
  await take(
    documentsIn(files),
    (path) => path,
    (path) => resource(`${base}/${path}`, left),
  );
  return files;
}

/** Paths of the documents that the fetched entries name; entries that are none are left to `verify`. */
function documentsIn(files: ReadonlyMap<string, Uint8Array>): string[] {
  const paths = new Set<string>();
  for (const [path, bundle] of files) {
    if (!path.startsWith('tile/entries/')) continue;
    try {
      for (const bytes of parseEntryBundle(bundle)) {
        const document = documentOf(decodeEntry(bytes));
        if (document !== undefined) paths.add(document.path);
      }
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
    }
  }
  return [...paths];
}

function sizeOf(note: Uint8Array): Checkpoint | undefined {
  try {
    return peekCheckpoint(new TextDecoder().decode(note));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}

async function tileBytesOf(base: string, tile: TileId, limit: number): Promise<Uint8Array | undefined> {
  const partial = await resource(`${base}/${tilePath(tile)}`, limit);
  if (partial !== undefined || tile.width === TILE_WIDTH) return partial;
  const full = await resource(`${base}/${tilePath({ ...tile, width: TILE_WIDTH })}`, limit);
  if (full === undefined) return undefined;
  if (tile.level !== 'entries') return full.slice(0, 32 * tile.width);
  return formatEntryBundle(parseEntryBundle(full).slice(0, tile.width));
}

/** Bytes of a resource, undefined where the log says 404. */
async function resource(url: string, maxBytes: number): Promise<Uint8Array | undefined> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' });
    if (response.status === 404) return undefined;
    if (response.ok) return await bounded(response, url, maxBytes);
  } catch (cause) {
    if (cause instanceof TacitError) throw cause;
    throw unreachable(url, 'the ledger does not answer', cause);
  }
  throw unreachable(url, `the ledger answers ${response.status}`);
}

async function bounded(response: Response, url: string, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > maxBytes) throw tooLarge(url, maxBytes);
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function unreachable(where: string, what: string, cause?: unknown): TacitError<RemoteLogErrorCode> {
  return new TacitError<RemoteLogErrorCode>('LOG_UNREACHABLE', what, {
    where,
    fix: 'Name the prefix of the log, for example http://127.0.0.1:7400/ledger.',
    cause,
  });
}

function tooLarge(where: string, maxBytes: number): TacitError<RemoteLogErrorCode> {
  return new TacitError<RemoteLogErrorCode>('LOG_TOO_LARGE', `the log has more than ${maxBytes} bytes`, { where });
}
