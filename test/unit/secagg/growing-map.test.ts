import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GrowingMap } from '../../../shared/core/growing-map.ts';

describe('a map that only grows', () => {
  it('is like a copy at every step, also where one map was grown twice', () => {
    const step = fc.record({ from: fc.nat(), key: fc.nat(8), value: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const maps = [GrowingMap.of<number, number>()];
        const copies = [new Map<number, number>()];
        for (const { from, key, value } of steps) {
          const at = from % maps.length;
          const copy = new Map(copies[at]);
          if (!copy.has(key)) copy.set(key, value);
          maps.push((maps[at] as GrowingMap<number, number>).with(key, value));
          copies.push(copy);
        }
        maps.forEach((map, i) => {
          const copy = copies[i] as Map<number, number>;
          expect([...map]).toEqual([...copy]);
          expect([map.size, [...map.keys()], [...map.values()]]).toEqual([
            copy.size,
            [...copy.keys()],
            [...copy.values()],
          ]);
          for (let key = 0; key <= 8; key++)
            expect([map.has(key), map.get(key)]).toEqual([copy.has(key), copy.get(key)]);
        });
      }),
    );
  });
});
