import { describe, expect, it } from 'vitest';
import { createProgress } from '../../../client-node/progress.ts';
import type { Terminal } from '../../../shared/node/command-line.ts';
import type { ParticipantEvent } from '../../../shared/participant/events.ts';

function shown(events: readonly ParticipantEvent[]): { lines: string[]; objects: object[] } {
  const lines: string[] = [];
  const objects: object[] = [];
  const terminal: Terminal = {
    json: false,
    live: false,
    say: (line) => void lines.push(line),
    status: () => undefined,
    emit: (object) => void objects.push(object as object),
  };
  const show = createProgress(terminal);
  for (const event of events) show(event);
  return { lines, objects };
}

const guarantee = {
  epsilon: 3,
  delta: 1e-5,
  unit: 'record',
  neighbouringRelation: '',
  mechanism: '',
  accountant: '',
  adversary: 'coordinator',
  assumptions: [],
  odds: '',
};

describe('progress of a client', () => {
  it('tells a round in the columns of the coordinator’s lines', () => {
    const { lines, objects } = shown([
      { kind: 'connection', state: 'lost', detail: 'transport close' },
      { kind: 'phase', round: 3, rounds: 20, stage: 0, phase: 'training' },
      { kind: 'trained', round: 3, examples: 810, loss: 0.4123, seconds: 1.23 },
      { kind: 'uploaded', round: 3, bytes: 12_345, sha256: `4f1c${'0'.repeat(58)}9a`, firstBytes: '00' },
      { kind: 'charged', round: 3, guarantee, budgetEpsilon: 3, spentEpsilon: 1.716 },
      { kind: 'roundEnded', round: 3, outcome: 'released', reason: null },
      { kind: 'roundEnded', round: 4, outcome: 'aborted', reason: 'DEADLINE_PASSED' },
      { kind: 'ledger', size: 9, root: 'ab'.repeat(32), verified: true },
      { kind: 'ledger', size: 9, root: 'ab'.repeat(32), verified: false },
    ]);
    expect(lines).toEqual([
      'connection lost: transport close',
      '[round 3/20] trained   810 examples   loss 0.412   1.2 s',
      '[round 3/20] uploaded  12.3 kB masked   sha256 4f1c..9a',
      '[round 3/20] budget    eps 1.72 of 3.00 (delta 1e-5, unit: record)',
      '[round 4/20] aborted   DEADLINE_PASSED',
      'ledger     NOT verified at 9 entries, root abab..ab',
    ]);
    expect(objects).toHaveLength(9);
    expect(objects[2]).toEqual({ event: 'trained', round: 3, examples: 810, loss: 0.4123, seconds: 1.23 });
  });

  it('says nothing of a loss that an empty sample has not', () => {
    const dropped = { kind: 'trained', round: 1, examples: 7, loss: 0.5, seconds: 0.01, dropped: 2 } as const;
    expect(shown([dropped]).lines[0]).toContain('2 left out: loss or gradient not finite');
    expect(shown([{ kind: 'trained', round: 1, examples: 0, loss: Number.NaN, seconds: 0.01 }]).lines).toEqual([
      '[round 1/0] trained   0 examples   10 ms',
    ]);
  });
});
