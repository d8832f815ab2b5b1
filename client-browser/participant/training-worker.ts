import type { FromWorker, ToWorker } from '../worker/messages.ts';

/** A worker that dies this often is given up: something in this browser or its memory is wrong for good. */
const MOST_RESTARTS = 3;
const SILENT = 'it stopped without a word';

/**
 * The page's training worker. When it dies (out of memory, a crash of the engine) another one takes its place, on the next
 * engine, and goes on as the same participant: identity, consent and what was sent are in the browser's storage, and the
 * person's files are still in this page. A round counts what was uploaded, once, so no example counts twice.
 */
export class TrainingWorker {
  readonly #receive: (message: FromWorker) => void;
  #worker: Worker;
  #restarts = 0;
  #ending: Worker | undefined;
  /** Engines in use when a worker died. */
  readonly #avoid: string[] = [];
  #engine: string | undefined;
  #connect: Extract<ToWorker, { kind: 'connect' }> | undefined;
  #files: Extract<ToWorker, { kind: 'files' }> | undefined;

  constructor(receive: (message: FromWorker) => void) {
    this.#receive = receive;
    this.#worker = this.#start();
  }

  send(message: ToWorker): void {
    if (message.kind === 'connect') this.#connect = message;
    else if (message.kind === 'files') this.#files = message;
    else if (message.kind !== 'consent' && message.kind !== 'exportAccount') this.#connect = undefined;
    this.#worker.postMessage(message.kind === 'connect' ? { ...message, avoid: this.#avoid } : message);
  }

  terminate(): void {
    this.#worker.terminate();
  }

  #start(): Worker {
    const name = `tacit-${crypto.randomUUID()}`;
    const worker = new Worker(new URL('../worker/main.ts', import.meta.url), { type: 'module', name });
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (this.#worker !== worker) return;
      if (data.kind === 'alive') void this.#watch(worker, name);
      else this.#told(data);
    };
    worker.onerror = (event) => void this.#died(worker, name, event.message || SILENT);
    return worker;
  }

  /** The lock that the worker holds comes free only when the worker is gone: browsers tell of a killed worker in no other way. */
  async #watch(worker: Worker, name: string): Promise<void> {
    await navigator.locks.request(name, () => {});
    await this.#died(worker, name, SILENT);
  }

  #told(message: FromWorker): void {
    if (message.kind === 'session' && message.event.kind === 'engine') this.#engine = message.event.name;
    this.#receive(message);
    // A consent of before the crash stands; only the records, which no storage keeps, are read again.
    if (message.kind === 'task' && this.#restarts > 0 && this.#files !== undefined)
      this.#worker.postMessage(this.#files);
  }

  async #died(worker: Worker, name: string, reason: string): Promise<void> {
    if (this.#worker !== worker || this.#ending === worker) return;
    this.#ending = worker;
    worker.terminate();
    if (this.#restarts === MOST_RESTARTS) {
      this.#receive({
        kind: 'workerFailed',
        problem: {
          code: 'WORKER_FAILED',
          message: `the training worker stopped ${MOST_RESTARTS + 1} times: ${reason}`,
        },
      });
      return;
    }
    this.#restarts += 1;
    if (this.#engine !== undefined && !this.#avoid.includes(this.#engine)) this.#avoid.push(this.#engine);
    this.#receive({ kind: 'workerRestarted', reason, engine: this.#engine ?? null });
    this.#engine = undefined;
    // When its own lock is free, so is this browser's one seat.
    if ('locks' in navigator) await navigator.locks.request(name, () => {});
    this.#worker = this.#start();
    if (this.#connect !== undefined) this.send(this.#connect);
  }
}
