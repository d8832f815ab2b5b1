import { describe, expect, it } from 'vitest';
import {
  bar,
  formatBytes,
  formatDelta,
  formatSeconds,
  roundTag,
  shortHash,
  table,
} from '../../../shared/node/format.ts';

describe('words for terminals', () => {
  it('writes sizes in decimal units', () => {
    expect([0, 999, 1000, 12_345, 999_499, 999_500, 4_194_304, 5e12].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.00 kB',
      '12.3 kB',
      '999 kB',
      '1.00 MB',
      '4.19 MB',
      '5.00 TB',
    ]);
  });

  it('writes durations', () => {
    expect([0, 0.0314, 0.999, 1, 12.34, 125].map(formatSeconds)).toEqual([
      '0 ms',
      '31 ms',
      '999 ms',
      '1.0 s',
      '12.3 s',
      '2 min 5 s',
    ]);
  });

  it('writes delta, hashes, tags, bars and columns', () => {
    expect([1e-5, 2.5e-10, 0.001].map(formatDelta)).toEqual(['1e-5', '2.5e-10', '1e-3']);
    expect(shortHash('4f1c0000009a')).toBe('4f1c..9a');
    expect(roundTag(3, 20, 'cohort')).toBe('[round 3/20] cohort    ');
    expect([bar(0, 4), bar(0.5, 4), bar(2, 4)]).toEqual(['[····]', '[##··]', '[####]']);
    expect(
      table([
        ['a', 'long'],
        ['value', 'x'],
      ]),
    ).toEqual(['a      long', '-----  ----', 'value  x']);
  });
});
