import { parseArgs } from 'node:util';
import { useOpensslCrypto } from '../shared/node/native-crypto.ts';
import { browserRows } from './secagg/browser.ts';
import { clientRows } from './secagg/client.ts';
import { loadRow } from './secagg/measure.ts';
import { memoryRows } from './secagg/memory.ts';
import { serverRows } from './secagg/server.ts';
import { simulationRows } from './secagg/simulation.ts';
import { thinRows } from './secagg/thin.ts';

/**
 * `--dimension N --clients N --only client,thin,server,memory,browser,simulation --simulated N`: BERT-base, ten clients and a simulated
 * thousand, unless said otherwise.
 */
if (import.meta.url === `file://${process.argv[1]}`) {
  const { values } = parseArgs({
    options: {
      dimension: { type: 'string', default: '110000000' },
      clients: { type: 'string', default: '10' },
      only: { type: 'string', default: 'client,thin,server,memory,browser,simulation' },
      simulated: { type: 'string', default: '1000' },
    },
  });
  useOpensslCrypto();
  const [dimension, clients] = [Number(values.dimension), Number(values.clients)];
  const groups = {
    client: () => clientRows(dimension, clients),
    thin: () => thinRows(dimension, clients),
    server: () => serverRows(dimension),
    memory: () => memoryRows(dimension, clients),
    browser: () => browserRows(dimension, clients),
    simulation: () => simulationRows(Number(values.simulated), 10_000),
  } as const;
  console.log(JSON.stringify(loadRow()));
  for (const [name, rows] of Object.entries(groups)) {
    if (!values.only.split(',').includes(name)) continue;
    for (const row of await rows()) console.log(JSON.stringify(row));
  }
  console.log(JSON.stringify(loadRow()));
}
