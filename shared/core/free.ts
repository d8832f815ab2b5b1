let nowhere: MessagePort | undefined;

/**
 * Frees the memory under a view of all of it at once; the view has length 0 afterwards. Left to the garbage collector, gigabytes of short-lived
 * buffers force one collection after the other, which cost more than AES and hold memory that nobody needs. A buffer that is
 * transferred to a closed port belongs to nobody (HTML §9.4.4), in Node and in browsers alike, and malloc hands the same memory,
 * still in cache, to the next one.
 */
export function free({ buffer, byteLength }: Uint8Array): void {
  // A pool's buffer is not the view's alone.
  if (buffer.byteLength !== byteLength) return;
  nowhere ??= closedPort();
  nowhere.postMessage(undefined, [buffer]);
}

function closedPort(): MessagePort {
  const { port1 } = new MessageChannel();
  port1.close();
  return port1;
}
