import { afterEach, describe, expect, it, vi } from 'vitest';
import { main as client } from '../../../client-node/cli.ts';
import { main as coordinator } from '../../../coordinator/cli.ts';

const COMMANDS = [
  ['start'],
  ['coordinator'],
  ['client'],
  ['plan'],
  ['doctor'],
  ['pretrain'],
  ['distil'],
  ...['create', 'list', 'show', 'invite', 'stop'].map((c) => ['run', c]),
  ...['epsilon', 'delta', 'noise', 'rounds', 'plan'].map((c) => ['privacy', c]),
  ...['approve', 'open', 'list'].map((c) => ['budget', c]),
  ...['show', 'export', 'verify'].map((c) => ['ledger', c]),
  ...['list', 'export', 'predict'].map((c) => ['model', c]),
  ['config', 'print'],
];

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What bin/tacit.js does, in this process. */
async function tacit(args: readonly string[]): Promise<Result> {
  let [out, err] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += String(text);
    return true;
  });
  const code = await (args[0] === 'client' ? client : coordinator)(args);
  vi.restoreAllMocks();
  return { code, out, err };
}

afterEach(() => vi.restoreAllMocks());

describe('every command', () => {
  it.each([[], ...COMMANDS].map((c) => ({ name: `tacit ${c.join(' ')}`.trim(), command: c })))(
    '$name helps, with an example of itself',
    async ({ name, command }) => {
      const { code, out, err } = await tacit([...command, '--help']);
      expect([code, err]).toEqual([0, '']);
      expect(out).toContain(`Usage: ${name} `);
      expect(out.split('Example:')[1]).toContain(name);
    },
  );

  it.each(COMMANDS.map((c) => ({ name: `tacit ${c.join(' ')}`, command: c })))(
    '$name refuses unknown flags',
    async ({ name, command }) => {
      const { code, out, err } = await tacit([...command, '--frobnicate']);
      expect([code, out]).toEqual([2, '']);
      // What is required is looked for first.
      expect(err).toMatch(/^USAGE: (unknown option '--frobnicate'|required option '.*' not specified)\. Run /);
      expect(err).toContain(`Run "${name} --help".`);
    },
  );

  it('says what is wrong with a command line, and where help is', async () => {
    for (const [args, sentence] of [
      [[], 'USAGE: a command is missing. Run "tacit --help".'],
      [['frobnicate'], 'USAGE: unknown command \'frobnicate\'. Run "tacit --help".'],
      [['run'], 'USAGE: a command is missing. Run "tacit run --help".'],
      [['run', 'frobnicate'], 'USAGE: unknown command \'frobnicate\'. Run "tacit run --help".'],
      [['ledger', 'verify'], 'USAGE: missing required argument \'bundle|url\'. Run "tacit ledger verify --help".'],
      [
        ['privacy', 'noise', '--epsilon', '3', '--rounds', '1'],
        'USAGE: required option \'--delta <d>\' not specified. Run "tacit privacy noise --help".',
      ],
      [
        ['privacy', 'noise', '--epsilon', 'three', '--delta', '1e-5', '--rounds', '1'],
        'USAGE: "three" is not a number (--epsilon <e>).',
      ],
    ] as const) {
      expect(await tacit(args)).toEqual({ code: 2, out: '', err: `${sentence}\n` });
    }
  });
});

describe('tacit privacy, for people', () => {
  it.each([
    [
      'epsilon --noise-multiplier 13.91 --rounds 100 --delta 1e-5',
      'epsilon 2.99901 at delta 0.00001',
      'the true epsilon is at most',
    ],
    [
      'delta --noise-multiplier 13.91 --rounds 100 --epsilon 3',
      'delta 0.00000994158 at epsilon 3',
      'the true delta is at most',
    ],
    [
      'noise --epsilon 3 --delta 1e-5 --rounds 100 --sampling-probability 0.25',
      'noise multiplier 3.65308: the least for epsilon 3 at delta 0.00001',
      'with probability 0.25 (Poisson sampling)',
    ],
    [
      'rounds --epsilon 3 --delta 1e-5 --noise-multiplier 13.91',
      '100 rounds: the most for epsilon 3 at delta 0.00001',
      'Gaussian noise of 13.91 times the clip',
    ],
  ])('%s says at which δ, of what, and which bound', async (args, first, more) => {
    const { code, out } = await tacit(['privacy', ...args.split(' ')]);
    expect([code, out.split('\n')[0]]).toEqual([0, first]);
    expect(out).toContain(more);
    expect(out).toContain('one unit (record, person or client)');
  });
});
