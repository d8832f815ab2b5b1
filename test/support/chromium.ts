/**
 * A Chromium for the browser tests on any Linux machine: an installed one, else the one inside the npm package
 * `@sparticuz/chromium`, unpacked once into the temporary directory. WebGL 2 is drawn by SwiftShader, so no GPU is needed.
 */
import { execFile } from 'node:child_process';
import { access, constants, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, chromium, type LaunchOptions } from 'playwright-core';

const run = promisify(execFile);
const require = createRequire(import.meta.url);

/** A browser program and the environment that it needs. */
export interface ChromiumProgram {
  readonly executablePath: string;
  /** `installed` or `@sparticuz/chromium`. */
  readonly origin: string;
  readonly env: Readonly<Record<string, string>>;
}

const INSTALLED = ['google-chrome', 'google-chrome-stable', 'chromium', 'chromium-browser', 'chrome'];

/** `CHROME_PATH`, else an installed Chrome or Chromium on `PATH`, else the packed one. */
export async function findChromium(): Promise<ChromiumProgram> {
  const named = process.env['CHROME_PATH'];
  if (named !== undefined && named !== '') return { executablePath: named, origin: 'CHROME_PATH', env: {} };
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of INSTALLED) {
      const executablePath = join(directory, name);
      if (await runnable(executablePath)) return { executablePath, origin: 'installed', env: {} };
    }
  }
  return unpackChromium();
}

/** Launches it headless with WebGL 2. The caller closes it. */
export async function launchChromium(options: LaunchOptions = {}): Promise<Browser> {
  const program = await findChromium();
  const { args = [], env = {}, ...rest } = options;
  return chromium.launch({
    executablePath: program.executablePath,
    env: { ...(process.env as Record<string, string>), ...program.env, ...(env as Record<string, string>) },
    args: [...CHROMIUM_ARGS, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), ...args],
    ...rest,
  });
}

/** SwiftShader through ANGLE; `/dev/shm` is 64 MB in many containers, too small for model weights. */
const CHROMIUM_ARGS = [
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--ignore-gpu-blocklist',
  '--disable-dev-shm-usage',
  '--font-render-hinting=none',
];

/**
 * Unpacks `@sparticuz/chromium` beside its final place and renames it there, so that several test processes may do it
 * at once and a killed one leaves nothing half written.
 */
async function unpackChromium(): Promise<ChromiumProgram> {
  const manifest = join(dirname(require.resolve('@sparticuz/chromium')), '..', '..', 'package.json');
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
  const home = join(tmpdir(), `tacit-chromium-${version}-${process.getuid?.() ?? 'user'}`);
  const executablePath = join(home, 'chromium');
  if (!(await runnable(executablePath))) {
    const fresh = await mkdtemp(`${home}-`);
    // The package unpacks below os.tmpdir(), and its shared libraries only where it believes to be on AWS Lambda.
    const env = { ...process.env, TMPDIR: fresh, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x' };
    const script = "import('@sparticuz/chromium').then(({ default: c }) => c.executablePath())";
    await run(process.execPath, ['--input-type=module', '-e', script], { cwd: import.meta.dirname, env });
    await rename(fresh, home).catch(() => rm(fresh, { recursive: true, force: true }));
  }
  return { executablePath, origin: '@sparticuz/chromium', env: await libraries(home, executablePath) };
}

/** The package's own libnss3 and friends, only where the system's are missing: system libraries fit the system better. */
async function libraries(home: string, executablePath: string): Promise<Record<string, string>> {
  try {
    await run(executablePath, ['--version']);
    return {};
  } catch {
    return { LD_LIBRARY_PATH: join(home, 'al2023', 'lib'), FONTCONFIG_PATH: join(home, 'fonts') };
  }
}

async function runnable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
