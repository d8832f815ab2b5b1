import { describe, expect, it } from 'vitest';
import { newBertConfig } from '../../../shared/bert/config.ts';
import { loraModules } from '../../../shared/bert/lora.ts';
import { classifierSpecs, encoderSpecs, poolerSpecs } from '../../../shared/bert/parameters.ts';
import { privateProgram } from '../../../shared/bert/programs.ts';
import { type Graph, lastUses } from '../../../shared/engine/graph.ts';
import { Ops } from '../../../shared/engine/ops.ts';

const config = newBertConfig({
  vocabSize: 9,
  hiddenSize: 4,
  layers: 3,
  heads: 2,
  intermediateSize: 8,
  maxPositions: 6,
});

function program(train: 'all' | readonly number[]): Graph {
  const lora =
    train === 'all' ? [] : loraModules(config, { rank: 1, alpha: 1, targets: ['query'], layers: train }, 3, 'mean');
  const base = [...encoderSpecs(config), ...poolerSpecs(config), ...classifierSpecs(2, 4)];
  const adapters = lora.flatMap((m) => m.specs);
  const names = new Set((train === 'all' ? base : [...adapters, ...classifierSpecs(2, 4)]).map((spec) => spec.name));
  return privateProgram({
    config,
    head: 'pooler',
    task: 'single_label',
    labels: 2,
    batch: 2,
    tokens: 3,
    recordsPerUnit: 1,
    shapes: new Map([...base, ...adapters].map((spec) => [spec.name, spec.shape])),
    lora,
    trains: (name) => names.has(name),
    dropout: false,
    from: 0,
  });
}

describe('tracing', () => {
  it('leaves out the backward pass below what trains', () => {
    const size = (train: 'all' | readonly number[]): number => program(train).nodes.length;
    expect(size([2])).toBeLessThan(size([0]));
    expect(size([0])).toBeLessThan(size('all'));
    expect(program([2]).feeds.map((f) => f.name)).not.toContain('sameToken');
  });

  it('frees every value exactly once, after its last use, and never an input or an output', () => {
    const graph = program('all');
    const uses = lastUses(graph);
    const freed = uses.flat();
    expect(new Set(freed).size).toBe(freed.length);
    const kept = new Set(
      [...graph.feeds, ...graph.parameters, ...graph.outputs, ...graph.constants].map((v) => v.value.id),
    );
    expect(freed.filter((id) => kept.has(id))).toEqual([]);
    const made = graph.nodes.flatMap((node) => node.outputs).filter((id) => !kept.has(id));
    expect([...freed].sort((a, b) => a - b)).toEqual([...made].sort((a, b) => a - b));
    const freedAt = new Map(uses.flatMap((ids, i) => ids.map((id): [number, number] => [id, i])));
    const early = graph.nodes.flatMap((node, i) => node.inputs.filter((id) => (freedAt.get(id) ?? i) < i));
    expect(early).toEqual([]);
  });

  it('refuses shapes that do not fit, before anything runs', () => {
    const ops = new Ops();
    const a = ops.feed('a', [2, 3]);
    const b = ops.feed('b', [4, 5]);
    const indices = ops.feed('i', [2]);
    const wrong = expect.objectContaining({ code: 'ENGINE_SHAPE' });
    for (const bad of [
      () => ops.add(a, b),
      () => ops.matmul(a, b),
      () => ops.linear(a, b),
      () => ops.reshape(a, [5]),
      () => ops.transpose(a, [0, 0]),
      () => ops.slice(a, 1, 2, 2),
      () => ops.concat([a, b], 0),
      () => ops.concat([], 0),
      () => ops.gatherRows(a, indices),
      () => ops.dotRows(a, b),
      () => ops.constant(new Float32Array(3), [4]),
    ]) {
      expect(bad).toThrow(wrong);
    }
  });
});
