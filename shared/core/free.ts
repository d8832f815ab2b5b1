/** Ports that lead nowhere: its own end closed, and the other one. */
let nowhere: { readonly closed: MessagePort; readonly severed: MessagePort } | undefined;

/**
 * Frees the memory under a view of all of it at once; the view has length 0 afterwards. Left to the garbage collector, gigabytes of short-lived
 * buffers force one collection after the other, which cost more than AES and hold memory that nobody needs. A buffer that is
 * transferred to a port that leads nowhere belongs to nobody (HTML §9.4.4), and malloc hands the same memory, still in cache, to
 * the next one. Chromium looks whether the port is closed before it takes the buffer, and Node keeps what it took until a severed
 * port's other end has gone, once: hence two.
 */
export function free({ buffer, byteLength }: Uint8Array): void {
  // A pool's buffer is not the view's alone.
  if (buffer.byteLength !== byteLength) return;
  nowhere ??= { closed: closedPort(), severed: severedPort() };
  nowhere.closed.postMessage(undefined, [buffer]);
  if (buffer.byteLength > 0) nowhere.severed.postMessage(undefined, [buffer]);
}

function closedPort(): MessagePort {
  const { port1 } = new MessageChannel();
  port1.close();
  return port1;
}

function severedPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  return port1;
}
