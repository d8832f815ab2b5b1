import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { checkTlogVectors, type TlogVectors } from './tlog.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/tlog.json', import.meta.url), 'utf8')) as TlogVectors;

it("equals Go's sumdb/note, sumdb/tlog and transparency-dev's tessera in every vector", () => {
  const { checks, failures } = checkTlogVectors(vectors);
  expect(failures).toEqual([]);
  expect(checks).toBeGreaterThan(150);
});

it('the runner notices a wrong expectation', () => {
  const go = vectors.go as NonNullable<TlogVectors['go']>;
  const { failures } = checkTlogVectors({ go: { ...go, roots: { ...go.roots, 7: '00'.repeat(32) } } });
  expect(failures).toEqual(['root of 7: differs']);
});
