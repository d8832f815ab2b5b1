import type { PlanStage } from '../../shared/protocol/plan.ts';
import { trainedElements } from '../../shared/protocol/plan-stage.ts';
import type { StageTerms } from '../../shared/protocol/terms.ts';
import type { EventLog } from '../../shared/store/log.ts';
import { bytesToFloat32 } from '../../shared/tensor/float32.ts';
import { foldRun, type ModelPointer, type RunEvent, type RunRecord } from './run-log.ts';
import type { RunPorts } from './run-ports.ts';

/** A run's stream with its fold, and the blobs that its events point to. */
export class RunJournal {
  readonly ports: RunPorts;
  readonly #log: EventLog<RunEvent>;
  readonly #blobs = new Map<string, Uint8Array>();
  #record: RunRecord;

  constructor(ports: RunPorts, log: EventLog<RunEvent>, events: readonly RunEvent[]) {
    this.ports = ports;
    this.#log = log;
    this.#record = events.reduce<RunRecord | undefined>(foldRun, undefined) as RunRecord;
  }

  get record(): RunRecord {
    return this.#record;
  }

  /** Of a stage that was started. */
  get model(): ModelPointer {
    return this.#record.model as ModelPointer;
  }

  /** Durable first, then true. */
  async append(event: RunEvent): Promise<void> {
    await this.#log.append(event);
    this.#record = foldRun(this.#record, event);
    this.ports.changed();
  }

  planStage(stage: number): PlanStage {
    return this.#record.terms.plan.stages[stage] as PlanStage;
  }

  stageTerms(stage: number): StageTerms {
    return this.#record.terms.stages[stage] as StageTerms;
  }

  /** Safetensors of a stage that was started, oldest first. */
  async overlays(stage: number): Promise<Uint8Array[]> {
    return this.load((this.#record.stages[stage] as RunRecord['stages'][number]).overlays);
  }

  /** A trainable vector of a stage. */
  async vector(sha256: string, stage: number): Promise<Float32Array> {
    const elements = trainedElements(this.planStage(stage), this.stageTerms(stage).dimension);
    return bytesToFloat32(await this.ports.store.getBlob(sha256), elements);
  }

  /** Blobs, each read once: the model knows an overlay by the identity of its bytes. */
  async load(hashes: readonly string[]): Promise<Uint8Array[]> {
    const out: Uint8Array[] = [];
    for (const sha256 of hashes) {
      const bytes = this.#blobs.get(sha256) ?? (await this.ports.store.getBlob(sha256));
      this.#blobs.set(sha256, bytes);
      out.push(bytes);
    }
    return out;
  }
}
