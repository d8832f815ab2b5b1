import { connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  readonly port: number;
  /** The next request that contains `text` reaches the server; its answer does not come back: the connection is cut instead. */
  cutAnswerTo(text: string): void;
  /** Half of the next piece of a request that contains `text` reaches the server, then the connection is cut. */
  cutInside(text: string): void;
  /** Requests and answers that were cut so far. */
  cuts(): number;
  close(): Promise<void>;
}

/** A TCP proxy that loses acknowledgements, as a network does at the worst moment. */
export async function startCuttingProxy(target: {
  readonly host: string;
  readonly port: number;
}): Promise<CuttingProxy> {
  let armed: string | undefined;
  let inside: string | undefined;
  let cut = 0;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target.port, target.host);
    let doomed = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    client.on('data', (bytes: Buffer) => {
      if (inside !== undefined && bytes.includes(inside)) {
        inside = undefined;
        cut++;
        upstream.write(bytes.subarray(0, bytes.length >> 1), () => upstream.end());
        client.destroy();
        return;
      }
      if (armed !== undefined && bytes.includes(armed)) {
        armed = undefined;
        doomed = true;
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes: Buffer) => {
      if (!doomed) return void client.write(bytes);
      cut++;
      client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    cutAnswerTo(text) {
      armed = text;
    },
    cutInside(text) {
      inside = text;
    },
    cuts: () => cut,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
