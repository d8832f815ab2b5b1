import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { readPolicy } from '../../client-node/policy-file.ts';
import { loadConfig, SETTINGS } from '../../coordinator/config.ts';
import { packageRoot } from '../../shared/node/package-root.ts';

/** What is deployed is what the code is: no container runtime here, so what the image copies is started as it is. */
interface Resource {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: Spec;
}
type Labels = Readonly<Record<string, string>>;
interface Named {
  readonly name: string;
}
interface Spec {
  readonly replicas?: number;
  readonly selector: { readonly matchLabels: Labels };
  readonly podSelector: { readonly matchLabels: Labels };
  readonly policyTypes: readonly string[];
  readonly volumeClaimTemplates?: readonly Resource[];
  readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: Pod };
}
interface Pod {
  readonly automountServiceAccountToken: boolean;
  readonly securityContext: { readonly runAsUser: number; readonly runAsGroup: number };
  readonly containers: readonly Container[];
  readonly volumes: readonly Named[];
}
interface Container {
  readonly args: readonly string[];
  readonly env: readonly (Named & { readonly value?: string })[];
  readonly securityContext: unknown;
  readonly resources: unknown;
  readonly volumeMounts: readonly (Named & { readonly mountPath: string })[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
}
interface Probe {
  readonly httpGet: { readonly path: string };
}

const kubernetes = join(packageRoot, 'deploy', 'kubernetes');
const scratch: string[] = [];
afterAll(() => Promise.all(scratch.map((dir) => rm(dir, { recursive: true, force: true }))));
const temporary = async (name: string): Promise<string> => {
  scratch.push(await mkdtemp(join(tmpdir(), `tacit-${name}-`)));
  return scratch.at(-1) as string;
};

async function resourcesOf(folder: string): Promise<readonly Resource[]> {
  const files = (await readdir(join(kubernetes, folder))).filter((name) => name !== 'kustomization.yaml').sort();
  const read = async (name: string): Promise<Resource[]> => {
    const documents = parseAllDocuments(await readFile(join(kubernetes, folder, name), 'utf8'));
    return documents.map((d) => {
      expect(d.errors).toEqual([]);
      return d.toJS() as Resource;
    });
  };
  const kustomization = (await read('kustomization.yaml'))[0] as unknown as { resources: string[] };
  expect([...kustomization.resources].sort()).toEqual(files);
  return (await Promise.all(files.map(read))).flat();
}

const find = (resources: readonly Resource[], kind: string): Resource =>
  resources.find((r) => r.kind === kind) as Resource;
const envNames = (container: Container): string[] => container.env.map((e) => e.name);
const containerOf = (resources: readonly Resource[], kind: string): Container =>
  find(resources, kind).spec.template.spec.containers[0] as Container;

describe.each([
  ['coordinator', 'StatefulSet'],
  ['site', 'Job'],
])('deploy/kubernetes/%s', (folder, kind) => {
  it('runs as nobody in particular, on a root file system that is not written, with limits', async () => {
    const { spec } = find(await resourcesOf(folder), kind);
    const pod = spec.template.spec;
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.containers).toHaveLength(1);
    const container = pod.containers[0] as Container;
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(container.resources).toMatchObject({
      requests: { cpu: expect.any(String), memory: expect.stringMatching(/Gi$/) },
      limits: { memory: expect.stringMatching(/Gi$/) },
    });
    // The user of the image owns what it writes.
    expect(await readFile(join(packageRoot, 'deploy', 'Dockerfile'), 'utf8')).toContain(
      `USER ${pod.securityContext.runAsUser}:${pod.securityContext.runAsGroup}`,
    );
    const claims = (spec.volumeClaimTemplates ?? []).map((c) => c.metadata.name);
    const volumes = [...pod.volumes.map((v) => v.name), ...claims].sort();
    expect(container.volumeMounts.map((m) => m.name).sort()).toEqual(volumes);
    // No secret stands in a manifest.
    for (const { name, value } of container.env) if (/PASSPHRASE|JOIN|STORE/.test(name)) expect(value).toBeUndefined();
  });

  it('is reached by nothing and calls nothing but what is written', async () => {
    const resources = await resourcesOf(folder);
    const policy = find(resources, 'NetworkPolicy').spec;
    const { labels } = find(resources, kind).spec.template.metadata;
    expect(policy.podSelector.matchLabels).toEqual(labels);
    expect(policy.policyTypes).toEqual(['Ingress', 'Egress']);
  });
});

describe('the coordinator', () => {
  it('is one, behind a service that finds it, with settings that the code knows', async () => {
    const resources = await resourcesOf('coordinator');
    const { spec } = find(resources, 'StatefulSet');
    const { labels } = spec.template.metadata;
    expect(spec.replicas).toBe(1);
    expect(spec.selector.matchLabels).toEqual(labels);
    expect(find(resources, 'Service').spec.selector as unknown).toEqual(labels);
    const container = containerOf(resources, 'StatefulSet');
    const { data = {} } = find(resources, 'ConfigMap');
    const known = [...Object.values(SETTINGS).map((s) => s.env), 'TACIT_KEY_PASSPHRASE'];
    for (const name of [...Object.keys(data), ...envNames(container)]) expect(known).toContain(name);
    const { config } = await loadConfig({}, data, undefined);
    expect([config.publicUrl, config.origin]).toEqual(['https://tacit.example.org', 'tacit.example.org/ledger']);
  });

  it('starts from what the image copies, writes to its data alone, and answers its probes', async () => {
    const app = await temporary('image');
    const data = await temporary('data');
    const dockerfile = await readFile(join(packageRoot, 'deploy', 'Dockerfile'), 'utf8');
    const copied = [...dockerfile.matchAll(/^COPY --from=build (.+) \S+$/gm)].flatMap(([, paths]) =>
      (paths as string).split(' ').map((path) => path.replace('/app/', '')),
    );
    const left = /rm -rf (.+)$/m.exec(dockerfile)?.[1]?.split(' ') ?? [];
    expect(copied).toContain('node_modules');
    for (const path of copied.filter((p) => p !== 'node_modules')) {
      const kept = (from: string): boolean => !left.some((l) => from === join(packageRoot, l));
      await cp(join(packageRoot, path), join(app, path), { recursive: true, filter: kept });
    }
    await symlink(join(packageRoot, 'node_modules'), join(app, 'node_modules'));
    const before = (await readdir(app, { recursive: true })).length;
    const resources = await resourcesOf('coordinator');
    const container = containerOf(resources, 'StatefulSet');
    const env = {
      PATH: process.env['PATH'],
      ...find(resources, 'ConfigMap').data,
      TACIT_DATA_DIR: data,
      TACIT_PORT: '0',
      TACIT_KEY_PASSPHRASE: 'of a secret',
    };
    const child = spawn(process.execPath, [join(app, 'bin/tacit.js'), ...container.args, '--json'], {
      cwd: app,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const { localUrl } = await listening(child);
      for (const probe of [container.startupProbe, container.readinessProbe, container.livenessProbe])
        expect((await fetch(localUrl + probe?.httpGet.path)).status).toBe(200);
      expect((await fetch(localUrl)).status).toBe(200);
    } finally {
      child.kill('SIGTERM');
    }
    expect((await once(child, 'exit'))[0]).toBe(0);
    expect((await readdir(app, { recursive: true })).length).toBe(before);
    expect(await readdir(data)).toContain('keys');
  }, 120_000);
});

async function listening(child: ChildProcess): Promise<{ localUrl: string }> {
  for await (const line of createInterface({ input: child.stdout as NonNullable<ChildProcess['stdout']> }))
    if (line.startsWith('{')) return JSON.parse(line) as { localUrl: string };
  throw new Error('the coordinator ended before it listened');
}

describe('a site', () => {
  it('has a policy that is one, and arguments that the client takes', async () => {
    const resources = await resourcesOf('site');
    const file = join(await temporary('policy'), 'policy.yaml');
    await writeFile(file, find(resources, 'ConfigMap').data?.['policy.yaml'] ?? '');
    expect(await readPolicy(file)).toMatchObject({ maximumEpsilon: 3, scopes: ['mail'] });
    const container = containerOf(resources, 'Job');
    const mounts = container.volumeMounts.map((m) => m.mountPath);
    for (const path of container.args.filter((a) => a.startsWith('/')))
      expect(mounts.some((m) => path === m || dirname(path) === m)).toBe(true);
    for (const [, name] of container.args.join(' ').matchAll(/\$\((\w+)\)/g))
      expect(envNames(container)).toContain(name);
    const child = spawn(process.execPath, [join(packageRoot, 'bin/tacit.js'), ...container.args]);
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    expect((await once(child, 'close'))[0]).toBe(2);
    // Its link is still the placeholder: everything before that was understood.
    expect(said).toContain('JOIN_CODE_INVALID');
  });
});
