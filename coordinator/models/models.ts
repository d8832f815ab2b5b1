import { z } from 'zod';
import { utf8 } from '../../shared/core/bytes.ts';
import { type Clock, isoTime } from '../../shared/core/clock.ts';
import { TacitError } from '../../shared/core/errors.ts';
import type { Rng } from '../../shared/core/rng.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { ModelView } from '../../shared/protocol/views.ts';
import { EventLog, holding } from '../../shared/store/log.ts';
import type { Store } from '../../shared/store/port.ts';
import { readWeights } from '../../shared/tensor/safetensors.ts';
import { bestEvaluation } from '../rounds/evaluation.ts';
import { GlobalModel } from '../rounds/global-model.ts';
import type { RunDriver } from '../runs/run-driver.ts';
import type { Prediction } from '../service.ts';
import { modelCard } from './model-card.ts';

/** Events of stream `models`. */
type ModelEvent =
  | { readonly type: 'published'; readonly at: string; readonly model: Omit<ModelView, 'promoted' | 'createdAt'> }
  | { readonly type: 'promoted'; readonly at: string; readonly id: string };

const modelEvent: z.ZodType<ModelEvent> = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('published'),
    at: z.string(),
    model: holding<Extract<ModelEvent, { type: 'published' }>['model']>({
      id: z.string(),
      run: z.string(),
      round: z.number().int(),
      ledgerIndex: z.number().int(),
      files: z.array(z.object({ name: z.string(), sizeBytes: z.number().int(), sha256: z.string() })),
    }),
  }),
  z.object({ type: z.literal('promoted'), at: z.string(), id: z.string() }),
]);

/** Published models: their Hugging Face directories, which one is served, and predictions. */
export class ModelLibrary {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #engine: Engine;
  readonly #rng: Rng;
  readonly #log: EventLog<ModelEvent>;
  readonly #models = new Map<string, Omit<ModelView, 'promoted'>>();
  readonly #drivers = new Map<string, RunDriver>();
  #promoted: string | undefined;
  #serving: { readonly id: string; readonly model: GlobalModel } | undefined;

  private constructor(
    store: Store,
    clock: Clock,
    engine: Engine,
    rng: Rng,
    log: EventLog<ModelEvent>,
    events: readonly ModelEvent[],
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#engine = engine;
    this.#rng = rng;
    this.#log = log;
    for (const event of events) this.#apply(event);
  }

  static async open(store: Store, clock: Clock, engine: Engine, rng: Rng): Promise<ModelLibrary> {
    const { log, events } = await EventLog.open(store, 'models', modelEvent);
    return new ModelLibrary(store, clock, engine, rng, log, events);
  }

  views(): readonly ModelView[] {
    return [...this.#models.values()].map((model) => ({ ...model, promoted: model.id === this.#promoted }));
  }

  /** Offers what a finished run published; its `plan.close` entry is durable by then. The first model is promoted. */
  async add(driver: RunDriver): Promise<void> {
    const { record, model } = driver;
    const overlay = record.ended?.model as string;
    const id = overlay.slice(0, 16);
    this.#drivers.set(id, driver);
    if (this.#models.has(id)) return;
    const best = bestEvaluation(record);
    const release = record.rounds.filter((r) => r.phase === 'done' && r.round <= (best?.round ?? 0)).at(-1);
    const files: { name: string; sizeBytes: number; sha256: string }[] = [];
    for (const [name, bytes] of model.directory(readWeights(await this.#store.getBlob(overlay), 'overlay'))) {
      files.push({ name, sizeBytes: bytes.length, sha256: await this.#store.putBlob(bytes) });
    }
    const card = utf8(modelCard(record));
    files.push({ name: 'README.md', sizeBytes: card.length, sha256: await this.#store.putBlob(card) });
    const published = {
      id,
      run: record.id,
      round: best?.round ?? 0,
      accuracy: best?.accuracy ?? null,
      f1: best?.f1 ?? null,
      ledgerIndex: release?.ledgerIndex ?? record.planLedgerIndex,
      files,
    };
    await this.#append({ type: 'published', at: isoTime(this.#clock), model: published });
    if (this.#promoted === undefined) await this.promote(id);
  }

  async promote(modelId: string): Promise<ModelView> {
    const { id } = this.#known(modelId);
    await this.#append({ type: 'promoted', at: isoTime(this.#clock), id });
    return this.views().find((m) => m.id === id) as ModelView;
  }

  async file(modelId: string, name: string): Promise<Uint8Array> {
    const file = this.#known(modelId).files.find((f) => f.name === name);
    if (file === undefined)
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'the model has no such file', { where: name.slice(0, 100) });
    return this.#store.getBlob(file.sha256);
  }

  async predict(modelId: string, texts: readonly string[]): Promise<readonly Prediction[]> {
    const { id } = this.#known(modelId);
    return (await this.#serve(id)).predict(texts);
  }

  async dispose(): Promise<void> {
    await this.#serving?.model.dispose();
  }

  async #serve(id: string): Promise<GlobalModel> {
    if (this.#serving?.id === id) return this.#serving.model;
    const files = new Map<string, Uint8Array>();
    for (const { name, sha256 } of this.#known(id).files) files.set(name, await this.#store.getBlob(sha256));
    const { plan } = (this.#drivers.get(id) as RunDriver).model;
    await this.#serving?.model.dispose();
    this.#serving = { id, model: new GlobalModel({ plan, files, engine: this.#engine, rng: this.#rng }) };
    return this.#serving.model;
  }

  #known(modelId: string): Omit<ModelView, 'promoted'> {
    const id = modelId === 'current' ? this.#promoted : modelId;
    const model = id === undefined ? undefined : this.#models.get(id);
    if (model === undefined)
      throw new TacitError<ProtocolErrorCode>('NOT_FOUND', 'no such model', {
        where: modelId.slice(0, 100),
        fix: 'GET /api/v1/models lists them.',
      });
    return model;
  }

  async #append(event: ModelEvent): Promise<void> {
    await this.#log.append(event);
    this.#apply(event);
  }

  #apply(event: ModelEvent): void {
    if (event.type === 'promoted') this.#promoted = event.id;
    else this.#models.set(event.model.id, { ...event.model, createdAt: event.at });
  }
}
