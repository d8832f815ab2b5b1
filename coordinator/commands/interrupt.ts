/** Runs `work` with a signal that Ctrl-C or SIGTERM aborts; a second one ends the process at once, as people expect. */
export async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const interrupted = new AbortController();
  const stop = (): void => {
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    await work(interrupted.signal);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
  }
}
