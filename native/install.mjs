/**
 * Native TensorFlow under @tensorflow/tfjs-node from two package managers alone, npm and pip (docs/NATIVE.md):
 * `node native/install.mjs [--wheel FILE] [--python python3] [--compiler g++]`. Linux on x86-64.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const VERSION = '2.13.1';
/** Of tensorflow_cpu-2.13.1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl (docs/adr). */
const WHEEL_SHA256 = '87be6e61314b2c0fa062f71e26e41d6a17e162ffe4da72c820fe8f1fc94d97fe';
const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
/** Header folders of the wheel that the binding includes, below tensorflow/include. */
const HEADERS = ['tensorflow/c', 'tensorflow/core/platform', 'tensorflow/tsl', 'tsl', 'xla/tsl'];

const { values } = parseArgs({
  options: {
    wheel: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    compiler: { type: 'string', default: 'g++' },
  },
});
const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, 'node_modules', '@tensorflow', 'tfjs-node');

function run(command, args, cwd = here) {
  execFileSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] });
}

/** TensorFlow.js itself is taken from the root, so that one process has one of it and no kernel is registered twice. */
function shareCore() {
  const own = dirname(target);
  for (const name of readdirSync(own)) {
    const root = join(here, '..', 'node_modules', '@tensorflow', name);
    if (name !== 'tfjs-node' && existsSync(root)) rmSync(join(own, name), { recursive: true });
  }
}

function download(into) {
  const tags = ['--no-deps', '--only-binary=:all:', '--python-version', '3.11', '--platform', 'manylinux_2_17_x86_64'];
  run(values.python, ['-m', 'pip', 'download', '--quiet', ...tags, `tensorflow-cpu==${VERSION}`, '--dest', into]);
  const name = readdirSync(into).find((file) => file.endsWith('.whl'));
  return join(into, name);
}

/** The library runs with all rights of this process: only the bytes that were looked at are taken. */
function check(wheel) {
  const found = createHash('sha256').update(readFileSync(wheel)).digest('hex');
  if (found === WHEEL_SHA256) return;
  throw new Error(`${wheel} is not the wheel that was checked: sha256 ${found}, expected ${WHEEL_SHA256}`);
}

function unpack(wheel, into) {
  const wanted = [
    ...HEADERS.map((folder) => `tensorflow/include/${folder}/`),
    ...LIBRARIES.map((name) => `tensorflow/${name}`),
  ];
  const script = [
    'import sys, zipfile',
    'wheel, into, *wanted = sys.argv[1:]',
    'with zipfile.ZipFile(wheel) as z:',
    '    z.extractall(into, [n for n in z.namelist() if n.startswith(tuple(wanted))])',
  ];
  run(values.python, ['-c', script.join('\n'), wheel, into, ...wanted]);
}

/** What node-gyp would do, in one call. */
function compile(headers) {
  const binding = join(target, 'binding');
  const sources = readdirSync(binding).filter((file) => file.endsWith('.cc'));
  const out = join(target, 'lib', 'napi-v8');
  mkdirSync(out, { recursive: true });
  const includes = [join(here, 'node_modules', 'node-api-headers', 'include'), target, headers].flatMap((d) => [
    '-I',
    d,
  ]);
  const libraries = ['-L', join(target, 'deps', 'lib'), ...LIBRARIES.map((name) => `-l:${name}`)];
  const options = ['-O2', '-std=c++17', '-shared', '-fPIC', '-DNAPI_VERSION=8', '-Wl,-rpath,$ORIGIN/../../deps/lib'];
  const files = sources.map((file) => join(binding, file));
  run(values.compiler, [...options, ...includes, ...files, ...libraries, '-o', join(out, 'tfjs_binding.node')]);
}

const work = mkdtempSync(join(tmpdir(), 'tacit-native-'));
try {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('this was made for Linux on x86-64');
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock']);
  shareCore();
  const wheel = values.wheel ?? download(work);
  check(wheel);
  unpack(wheel, work);
  mkdirSync(join(target, 'deps', 'lib'), { recursive: true });
  for (const name of LIBRARIES) copyFileSync(join(work, 'tensorflow', name), join(target, 'deps', 'lib', name));
  compile(join(work, 'tensorflow', 'include'));
  console.log('built; `npx tacit doctor` says whether its gradients are right and how fast they are');
} catch (error) {
  console.error(`native TensorFlow was not installed: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
