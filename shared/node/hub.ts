import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { downloadFile, HubApiError, type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import { type ModelFiles, TOKENIZER_FILES } from '../bert/directory.ts';
import { TacitError } from '../core/errors.ts';

export type HubErrorCode =
  /** Not written hf:org/name[@revision]. */
  | 'HUB_NAME_INVALID'
  /** No connection, and the model is not in the cache. */
  | 'HUB_UNREACHABLE'
  | 'HUB_NOT_FOUND'
  /** The hub wants a token, or another one. */
  | 'HUB_REFUSED'
  /** An answer that is no model, or a file that is not the one announced. */
  | 'HUB_INVALID';

export interface HubSettings {
  /** Default HF_ENDPOINT, else https://huggingface.co. */
  readonly hubUrl?: string;
  /** Default HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub: the cache that Python's library uses too. */
  readonly cacheDir?: string;
  /** Default HF_TOKEN; for models that not everybody may read. */
  readonly token?: string;
}

export interface HubName {
  readonly name: string;
  readonly revision: string;
}

const COMMIT = /^[0-9a-f]{40}$/;
const REVISION = /^[\w][\w.-]*(\/[\w][\w.-]*)*$/;
const WEIGHTS = /^(model\.safetensors(\.index\.json)?|model-\d{5}-of-\d{5}\.safetensors|adapter_model\.safetensors)$/;
const OTHERS = new Set([...TOKENIZER_FILES, 'adapter_config.json']);

export function isHubName(from: string): boolean {
  return from.startsWith('hf:');
}

/** `hf:org/name` or `hf:org/name@revision`. @throws HUB_NAME_INVALID */
export function parseHubName(from: string): HubName {
  const [name = '', revision = 'main', ...rest] = from.slice('hf:'.length).split('@');
  const part = '[A-Za-z0-9][A-Za-z0-9._-]{0,95}';
  if (isHubName(from) && rest.length === 0 && new RegExp(`^(${part}/)?${part}$`).test(name) && REVISION.test(revision))
    return { name, revision };
  throw new TacitError<HubErrorCode>('HUB_NAME_INVALID', `"${from}" is not a model on the hub`, {
    fix: 'Write hf:org/name or hf:org/name@revision.',
  });
}

/**
 * The model's configuration, weights (safetensors only) and tokenizer, out of the cache or from the hub; nothing else of
 * the repository is fetched, and no code of it ever runs.
 * @throws HUB_NAME_INVALID, HUB_UNREACHABLE, HUB_NOT_FOUND, HUB_REFUSED, HUB_INVALID
 */
export async function readHubModel(from: string, maxBytes: number, settings: HubSettings = {}): Promise<ModelFiles> {
  const { name, revision } = parseHubName(from);
  const folder = join(settings.cacheDir ?? defaultCache(), `models--${name.replaceAll('/', '--')}`);
  const cached = await cachedSnapshot(folder, revision);
  // A commit never changes, so what is here needs no question.
  if (cached !== undefined && COMMIT.test(revision)) return readSnapshot(cached);
  try {
    return await readSnapshot(await download(name, revision, folder, maxBytes, settings));
  } catch (error) {
    const coded = error instanceof TacitError ? error : hubError(error, from);
    if (coded.code === 'HUB_UNREACHABLE' && cached !== undefined) return readSnapshot(cached);
    throw coded;
  }
}

function defaultCache(): string {
  const { HF_HUB_CACHE, HF_HOME } = process.env;
  return HF_HUB_CACHE ?? join(HF_HOME ?? join(homedir(), '.cache', 'huggingface'), 'hub');
}

/** The whole snapshot that a revision last meant, if it is here: its config.json is put there last. */
async function cachedSnapshot(folder: string, revision: string): Promise<string | undefined> {
  const commit = COMMIT.test(revision)
    ? revision
    : (await readFile(join(folder, 'refs', revision), 'utf8').catch(() => '')).trim();
  const snapshot = join(folder, 'snapshots', commit);
  const names = COMMIT.test(commit) ? await readdir(snapshot).catch((): string[] => []) : [];
  const complete =
    names.some((n) => n === 'config.json' || n === 'adapter_config.json') && names.some((n) => WEIGHTS.test(n));
  return complete ? snapshot : undefined;
}

async function readSnapshot(snapshot: string): Promise<ModelFiles> {
  const names = (await readdir(snapshot)).filter(isWanted).sort();
  return new Map(
    await Promise.all(names.map(async (n) => [n, new Uint8Array(await readFile(join(snapshot, n)))] as const)),
  );
}

function isWanted(path: string): boolean {
  return path === 'config.json' || WEIGHTS.test(path) || OTHERS.has(path);
}

async function download(
  name: string,
  revision: string,
  folder: string,
  maxBytes: number,
  settings: HubSettings,
): Promise<string> {
  const options = optionsOf(settings);
  const { sha } = await modelInfo({ ...options, name, revision, additionalFields: ['sha'] });
  if (!COMMIT.test(sha)) throw invalid(`the hub names no commit for ${revision}`, name);
  const repo = { type: 'model', name } as const;
  const files: ListFileEntry[] = [];
  for await (const entry of listFiles({ ...options, repo, revision: sha }))
    if (entry.type === 'file' && isWanted(entry.path)) files.push(entry);
  const bytes = files.reduce((n, f) => n + f.size, 0);
  if (bytes > maxBytes) throw invalid(`its files have ${bytes} bytes, at most ${maxBytes} are read`, name);
  if (!files.some((f) => WEIGHTS.test(f.path)))
    throw invalid(
      'it has no safetensors weights',
      name,
      'Use a revision with model.safetensors; pickled weights are never read.',
    );
  const snapshot = join(folder, 'snapshots', sha);
  // One whole file, or its shards: not both.
  const whole = files.some((f) => f.path === 'model.safetensors');
  // By which a snapshot is known to be whole, and nothing else: not the tokenizer's settings, which say how texts are cut.
  const last = (f: ListFileEntry): number => ['adapter_config.json', 'config.json'].indexOf(f.path);
  for (const file of [...files].sort((a, b) => last(a) - last(b)))
    if (!(whole && /^model(-\d|\.safetensors\.index)/.test(file.path)))
      await fetchFile({ ...options, repo, revision: sha, path: file.path }, file, join(snapshot, file.path));
  if (revision !== sha) await writeText(join(folder, 'refs', revision), sha);
  return snapshot;
}

function optionsOf({ hubUrl = process.env.HF_ENDPOINT, token = process.env.HF_TOKEN }: HubSettings) {
  return {
    ...(hubUrl === undefined ? {} : { hubUrl: hubUrl.replace(/\/+$/, '') }),
    ...(token === undefined || token === '' ? {} : { accessToken: token }),
  };
}

/** Streams to a file beside, checks length and (large files) SHA-256 against what the hub announced, then renames. */
async function fetchFile(
  request: Parameters<typeof downloadFile>[0],
  entry: ListFileEntry,
  path: string,
): Promise<void> {
  const size = await stat(path).then(
    (s) => s.size,
    () => undefined,
  );
  if (size === entry.size) return;
  const blob = await downloadFile(request);
  if (blob === null) throw invalid('the file is listed but not there', entry.path);
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  const hash = createHash('sha256');
  let length = 0;
  const counted = async function* (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      length += chunk.length;
      yield chunk;
    }
  };
  await pipeline(Readable.fromWeb(blob.stream() as ReadableStream), counted, createWriteStream(part));
  const digest = hash.digest('hex');
  const right = length === entry.size && (entry.lfs === undefined || entry.lfs.oid === digest);
  if (right) return rename(part, path);
  await rm(part, { force: true });
  throw invalid(
    `the file has ${length} bytes, SHA-256 ${digest}; the hub announced ${entry.size}${entry.lfs === undefined ? '' : `, ${entry.lfs.oid}`}`,
    entry.path,
  );
}

async function writeText(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

function hubError(error: unknown, from: string): TacitError<HubErrorCode> {
  const more = { where: from, cause: error };
  const status = error instanceof HubApiError ? error.statusCode : undefined;
  if (status === 404)
    return new TacitError<HubErrorCode>('HUB_NOT_FOUND', 'the hub has no such model or revision', {
      ...more,
      fix: 'Check the name.',
    });
  if (status === 401 || status === 403) {
    const fix = 'Check the name, or set HF_TOKEN to a token that may read it.';
    return new TacitError<HubErrorCode>('HUB_REFUSED', 'the hub does not let this model be read', { ...more, fix });
  }
  if (status !== undefined && status < 500)
    return new TacitError<HubErrorCode>('HUB_INVALID', `the hub answered with status ${status}`, more);
  return new TacitError<HubErrorCode>(
    'HUB_UNREACHABLE',
    'the hub cannot be reached and the model is not in the cache',
    {
      ...more,
      fix: 'Where there is a network, run "tacit model import hf:… --out DIR" and bring the directory here.',
    },
  );
}

function invalid(what: string, where: string, fix?: string): TacitError<HubErrorCode> {
  return new TacitError<HubErrorCode>('HUB_INVALID', what, { where, ...(fix === undefined ? {} : { fix }) });
}
