import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Logger } from 'pino';
import { TacitError } from '../shared/core/errors.ts';
import { systemRng } from '../shared/core/rng.ts';
import { parseYaml } from '../shared/node/documents.ts';
import { selectNodeEngine } from '../shared/node/engines.ts';
import { packageRoot, packageVersion } from '../shared/node/package-root.ts';
import { parsePlan } from '../shared/protocol/plan.ts';
import type { Store } from '../shared/store/port.ts';
import type { CoordinatorConfig } from './config.ts';
import { type Coordinator, startCoordinatorService } from './coordinator.ts';
import { createHttpApp } from './http/app.ts';
import { refuseUntilReady } from './http/not-ready.ts';
import { openOwnLedger } from './keys/key-rotation.ts';
import { readModelFiles } from './models/model-files.ts';
import { attachGateway } from './realtime/gateway.ts';
import { lockDataDir } from './store/data-dir-lock.ts';
import { openConfiguredStore } from './store/open-store.ts';

export type ListenErrorCode = 'PORT_TAKEN' | 'ADDRESS_UNUSABLE';

export interface RunningCoordinator {
  readonly service: Coordinator;
  /** Where people reach it. */
  readonly url: string;
  /** What it listens on, e.g. `http://127.0.0.1:7400`. */
  readonly localUrl: string;
  readonly operatorToken: string;
  /** `machine`: only file permissions protect the signing key. */
  readonly keyProtection: 'passphrase' | 'machine';
  /** Ends event streams and connections, finishes what is being written, closes the store. */
  close(): Promise<void>;
}

/** Composition of a coordinator: store, key, ledger, service, HTTP and socket.io. @throws PORT_TAKEN, DATA_DIR_IN_USE, STORE_*, KEYSTORE_*, LEDGER_* */
export async function startCoordinator(
  config: CoordinatorConfig,
  passphrase: string | undefined,
  log: Logger,
): Promise<RunningCoordinator> {
  // The port first: it is the likeliest to fail, and costs nothing to give back.
  const http = createServer();
  const ready = refuseUntilReady(http);
  await listen(http, config.host, config.port);
  const localUrl = `http://${hostInUrl(config.host)}:${(http.address() as AddressInfo).port}`;
  const url = config.publicUrl ?? localUrl;
  let release = async (): Promise<void> => undefined;
  let store: Store | undefined;
  try {
    release = await lockDataDir(config.dataDir, localUrl);
    store = await openConfiguredStore(config, {
      owner: `${config.name} at ${url} (process ${process.pid} on ${hostname()})`,
      onLost: (error) => log.fatal({ code: error.code, where: error.where }, error.message),
    });
    const opened = store;
    const { identity, ledger } = await openOwnLedger({ config, store, passphrase, rng: systemRng });
    const { engine } = await selectNodeEngine();
    const service = await startCoordinatorService({
      store,
      ledger,
      signer: identity.signer,
      engine,
      name: config.name,
      version: packageVersion,
      publicUrl: url,
      readModel: readModelFiles,
      parsePlan: (text, where) => parsePlan(parseYaml(text, where), where),
      rng: systemRng,
      clock: Date,
      log,
    });
    ready();
    const closing = new AbortController();
    const pagesDir = join(packageRoot, 'dist', 'pages');
    const { operatorToken } = identity;
    http.on(
      'request',
      createHttpApp({ service, pagesDir, operatorToken, log, publicOrigin: url, clock: Date, closing: closing.signal }),
    );
    const sockets = attachGateway(http, service.desk, systemRng, log);
    const close = async (): Promise<void> => {
      closing.abort();
      await sockets.close();
      http.closeAllConnections();
      await service.close();
      await opened.close();
      await release();
    };
    return { service, url, localUrl, operatorToken, keyProtection: identity.protection, close };
  } catch (error) {
    http.close();
    await store?.close();
    await release();
    throw error;
  }
}

/** @throws PORT_TAKEN, ADDRESS_UNUSABLE */
function listen(http: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    http.once('error', (cause: NodeJS.ErrnoException) => {
      const where = `${host}:${port}`;
      reject(
        cause.code === 'EADDRINUSE'
          ? new TacitError<ListenErrorCode>('PORT_TAKEN', `port ${port} is in use`, {
              where,
              fix: 'Stop what uses it, or choose another with --port (0 takes a free one).',
              cause,
            })
          : new TacitError<ListenErrorCode>('ADDRESS_UNUSABLE', `the address cannot be listened on (${cause.code})`, {
              where,
              fix: 'Choose another with --host and --port.',
              cause,
            }),
      );
    });
    http.listen(port, host, resolve);
  });
}

function hostInUrl(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
