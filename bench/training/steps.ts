import type { Engine } from '../../shared/engine/engine.ts';
import { onnxCpuEngine, tfjsNativeEngine } from '../../shared/node/engines.ts';
import type { Peers } from '../python.ts';
import { absent, atMost, type BenchRow } from '../row.ts';
import { cpuMs } from './cpu.ts';
import {
  configOf,
  l2Clip,
  lastBlock,
  lora,
  loraLastBlock,
  openTrainee,
  type Shape,
  shapes,
  type Trainee,
  weightsOf,
} from './ours.ts';
import { openPeer, type Peer, type PeerKind } from './peers.ts';

/** One kind of step, wherever it is computed. */
type Contestant = () => Promise<number>;

/** Highest ratios of a shape, as its rows have them; a shape without a target is measured all the same. */
interface Limits {
  readonly plainToTorch?: number;
  readonly privateToTorch?: number;
  readonly privateToOpacus?: number;
  readonly privateToPlain?: number;
  readonly nativePlainToTorch?: number;
  readonly nativePrivateToTorch?: number;
}
const limits: Readonly<Record<string, Limits>> = {
  tiny: {},
  minilm: {
    plainToTorch: 1,
    privateToTorch: 1.15,
    privateToOpacus: 0.55,
    privateToPlain: 1.15,
    nativePlainToTorch: 1.1,
    nativePrivateToTorch: 1.25,
  },
  base: { plainToTorch: 1.05, privateToPlain: 1.1 },
};
/** BERT-base beside four Python models would not fit a small machine, and has no target against the other three. */
const peerKinds: Readonly<Record<string, readonly PeerKind[]>> = {
  tiny: ['plain', 'default', 'opacus-per-sample', 'opacus-ghost'],
  minilm: ['plain', 'default', 'opacus-per-sample', 'opacus-ghost'],
  base: ['plain'],
};

/** CPU times of all kinds of whole step of one shape, all taken in turns in the same minutes. */
export async function stepRows(name: string, peers: Peers): Promise<BenchRow[]> {
  const shape = shapes[name] as Shape;
  const config = configOf(shape);
  const weights = weightsOf(config);
  const engine = onnxCpuEngine();
  const open = (trainable: Parameters<typeof openTrainee>[4], on: Engine = engine): Promise<Trainee> =>
    openTrainee(on, shape, config, weights, trainable);
  const [all, low, head] = [await open('all'), await open(lora), await open('head')];
  const [block, lowBlock] = [await open(lastBlock(shape)), await open(loraLastBlock(shape))];
  const native = name === 'base' ? undefined : await nativeTrainee(open);
  const torch = 'reason' in peers ? [] : await openPeers(peers.python, name, shape);
  const contestants = new Map<string, Contestant>([
    ['plain', () => cpuMs(() => all.step(Number.POSITIVE_INFINITY))],
    ['private', () => cpuMs(() => all.step(l2Clip))],
    ['lora plain', () => cpuMs(() => low.step(Number.POSITIVE_INFINITY))],
    ['lora private', () => cpuMs(() => low.step(l2Clip))],
    ['last block', () => cpuMs(() => block.step(l2Clip))],
    ['lora last block', () => cpuMs(() => lowBlock.step(l2Clip))],
    ['head', () => cpuMs(() => head.step(l2Clip))],
    ['head cached', () => cpuMs(() => head.cachedStep())],
    ...torch.map(({ kind, peer }): [string, Contestant] => [kind, () => peer.step()]),
  ]);
  if (typeof native !== 'string' && native !== undefined) {
    contestants.set('native plain', () => cpuMs(() => native.step(Number.POSITIVE_INFINITY)));
    contestants.set('native private', () => cpuMs(() => native.step(l2Clip)));
  }
  const best = await inTurns(contestants, shape.repeats);
  for (const { peer } of torch) await peer.close();
  for (const trainee of [all, low, block, lowBlock, head]) await trainee.dispose();
  if (typeof native !== 'string') await native?.dispose();
  return [...rowsOf(name, best), ...missing(name, peers, native)];
}

/** Best of each, after one of each to warm up. The order within a turn is fixed: every contestant has the same neighbours. */
async function inTurns(contestants: ReadonlyMap<string, Contestant>, repeats: number): Promise<Map<string, number>> {
  const best = new Map<string, number>();
  for (let turn = 0; turn <= repeats; turn++) {
    for (const [name, step] of contestants) {
      const ms = await step();
      if (turn > 0) best.set(name, Math.min(ms, best.get(name) ?? Number.POSITIVE_INFINITY));
    }
  }
  return best;
}

function rowsOf(name: string, best: ReadonlyMap<string, number>): BenchRow[] {
  const rows: BenchRow[] = [];
  const limit = limits[name] as Limits;
  const add = (title: string, what: string, against?: string, most: number | null = null): void => {
    const value = best.get(what);
    const baseline = against === undefined ? undefined : best.get(against);
    if (value === undefined || (against !== undefined && baseline === undefined)) return;
    const measured = { value, unit: 'cpu ms', ...(baseline === undefined ? {} : { baseline }) };
    rows.push(atMost('training', `${name} ${title}`, measured, most));
  };
  const { plainToTorch = null, privateToTorch = null, privateToOpacus = null, privateToPlain = null } = limit;
  add('plain step', 'plain');
  add('plain step ÷ PyTorch (sdpa, fused Adam)', 'plain', 'plain peer', plainToTorch);
  add('private step ÷ PyTorch plain', 'private', 'plain peer', privateToTorch);
  add('PyTorch default Adam ÷ PyTorch at its best', 'default peer', 'plain peer');
  add('private step ÷ Opacus per-sample', 'private', 'opacus-per-sample peer', privateToOpacus);
  add('private step ÷ Opacus ghost', 'private', 'opacus-ghost peer', privateToOpacus);
  add('private step ÷ plain step', 'private', 'plain', privateToPlain);
  add('private LoRA r8 step ÷ plain LoRA', 'lora private', 'lora plain', 1.05);
  add('private LoRA r8 step ÷ private full step', 'lora private', 'private', 0.7);
  add('private last block step, frozen part cached ÷ full step', 'last block', 'private');
  add('private LoRA r8 on the last block, frozen part cached ÷ full step', 'lora last block', 'private');
  add('private head-only step, features anew ÷ full step', 'head', 'private', 0.4);
  add('private head-only step, features cached ÷ full step', 'head cached', 'private', 0.4);
  add('native TensorFlow plain step ÷ PyTorch', 'native plain', 'plain peer', limit.nativePlainToTorch ?? null);
  add('native TensorFlow private ÷ PyTorch plain', 'native private', 'plain peer', limit.nativePrivateToTorch ?? null);
  return rows;
}

function missing(name: string, peers: Peers, native: Trainee | string | undefined): BenchRow[] {
  const rows: BenchRow[] = [];
  if ('reason' in peers) rows.push(absent('training', `${name} against PyTorch and Opacus`, peers.reason));
  if (typeof native === 'string') rows.push(absent('training', `${name} native TensorFlow`, native));
  return rows;
}

async function openPeers(python: string, name: string, shape: Shape): Promise<{ kind: string; peer: Peer }[]> {
  const out: { kind: string; peer: Peer }[] = [];
  for (const kind of peerKinds[name] ?? [])
    out.push({ kind: `${kind} peer`, peer: await openPeer(python, kind, shape) });
  return out;
}

/** The reason when native TensorFlow is not here. */
async function nativeTrainee(open: (trainable: 'all', engine: Engine) => Promise<Trainee>): Promise<Trainee | string> {
  try {
    return await open('all', await tfjsNativeEngine());
  } catch (cause) {
    return cause instanceof Error ? (cause.message.split('\n')[0] as string) : String(cause);
  }
}
