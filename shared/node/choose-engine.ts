import type { Engine } from '../engine/engine.ts';
import { onnxCpuEngine } from './engines.ts';

export interface ChosenEngine {
  readonly engine: Engine;
  /** Why this one, in words. */
  readonly reason: string;
  readonly secondsPerExample: number;
}

export async function chooseNodeEngine(): Promise<ChosenEngine> {
  return { engine: onnxCpuEngine(), reason: 'runs everywhere Node does', secondsPerExample: 0 };
}
