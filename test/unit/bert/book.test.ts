import { describe, expect, it } from 'vitest';
import { Book } from '../../../shared/bert/book.ts';
import { fillGaussian } from '../../../shared/bert/parameters.ts';
import { seededRng } from '../../../shared/core/rng.ts';
import type { Engine } from '../../../shared/engine/engine.ts';
import { Ops } from '../../../shared/engine/ops.ts';
import { sumOfSquares } from '../../../shared/kernels/squares.ts';
import { onnxCpuEngine, tfjsWasmEngine } from '../../../shared/node/engines.ts';

const units = 2;
const [d, p] = [1040, 520];

/** Squared norm of each unit's AᵀG by the book, and from the product itself, added up in float64. */
async function squaredNorms(engine: Engine, rows: number): Promise<{ book: Float32Array; expected: number[] }> {
  const ops = new Ops();
  const book = new Book(ops, units, () => true);
  const input = ops.feed('input', [units * rows, d]);
  const gradient = ops.feed('gradient', [units * rows, p]);
  book.linear('weight', undefined, input, gradient);
  const product = ops.matmul(book.byUnit(gradient), book.byUnit(input), { a: true });
  const graph = ops.finish(
    new Map([
      ['book', book.totalSquaredNorm()],
      ['product', product],
    ]),
  );
  const random = (name: string, width: number): Float32Array => {
    const data = new Float32Array(units * rows * width);
    fillGaussian(data, 1, seededRng(name));
    return data;
  };
  const step = await engine.compile(graph, []);
  const out = { book: new Float32Array(units), product: new Float32Array(units * p * d) };
  const feeds = new Map([
    ['input', random('input', d)],
    ['gradient', random('gradient', p)],
  ]);
  await step.run(feeds, new Map(Object.entries(out)));
  await step.dispose();
  const expected = Array.from({ length: units }, (_, u) =>
    sumOfSquares(out.product.subarray(u * p * d, (u + 1) * p * d)),
  );
  return { book: out.book, expected };
}

describe.each([
  ['onnx', async () => onnxCpuEngine()],
  ['tfjs wasm', tfjsWasmEngine],
])('squared norms, %s', (_, open) => {
  // Whole; halved once; halved once with an odd number of rows then; halved twice; so many that the product itself is formed.
  it.each([100, 256, 258, 512, 560])('%i rows a unit', async (rows) => {
    const { book, expected } = await squaredNorms(await open(), rows);
    for (const [unit, square] of expected.entries())
      expect(Math.abs((book[unit] as number) / square - 1)).toBeLessThan(2e-5);
  });
});
