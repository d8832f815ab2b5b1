import { TacitError } from '../core/errors.ts';
import type { Engine, EngineErrorCode } from './engine.ts';

/** One way of computing that may or may not be there. */
export interface EngineCandidate {
  readonly name: string;
  /** @throws with a sentence saying what is missing, when this machine does not have it */
  open(): Promise<Engine>;
}

/** What a candidate did with the stored case: whether its numbers were right, and how long a step took. */
export interface Proof {
  /** Undefined when every number was right; else which was wrong and by how much. */
  readonly wrong: string | undefined;
  /** Of one step of the benchmark. */
  readonly milliseconds: number;
}

export interface EngineRow {
  readonly name: string;
  readonly state: 'used' | 'slower' | 'refused' | 'missing' | 'untried';
  readonly reason: string;
  readonly milliseconds: number | undefined;
}

export interface Selection {
  readonly engine: Engine;
  readonly report: readonly EngineRow[];
}

/**
 * Opens the candidates in their order (fastest first), lets each prove itself, and uses the fastest proven one. An
 * engine with wrong gradients is never used. Unless `exhaustive`, the first proven candidate is taken and later ones are
 * not opened: several clients start on one machine at once.
 * @throws ENGINE_NONE with every candidate's reason
 */
export async function selectEngine(
  candidates: readonly EngineCandidate[],
  selfCheck: (engine: Engine) => Promise<Proof>,
  options: { readonly exhaustive?: boolean } = {},
): Promise<Selection> {
  const rows: EngineRow[] = [];
  const proven: { engine: Engine; row: EngineRow }[] = [];
  for (const candidate of candidates) {
    if (proven.length > 0 && options.exhaustive !== true) {
      rows.push({
        name: candidate.name,
        state: 'untried',
        reason: 'a faster kind was proven first',
        milliseconds: undefined,
      });
      continue;
    }
    const tried = await prove(candidate, selfCheck);
    rows.push(tried.row);
    if (tried.engine !== undefined) proven.push({ engine: tried.engine, row: tried.row });
  }
  const best = proven.reduce<(typeof proven)[number] | undefined>(
    (a, b) => (a === undefined || (b.row.milliseconds as number) < (a.row.milliseconds as number) ? b : a),
    undefined,
  );
  if (best === undefined) throw none(rows);
  return { engine: best.engine, report: rows.map((row) => verdict(row, best.row)) };
}

async function prove(
  candidate: EngineCandidate,
  selfCheck: (engine: Engine) => Promise<Proof>,
): Promise<{ row: EngineRow; engine?: Engine }> {
  const row = (state: EngineRow['state'], reason: string, milliseconds?: number): EngineRow => ({
    name: candidate.name,
    state,
    reason,
    milliseconds,
  });
  let engine: Engine;
  try {
    engine = await candidate.open();
  } catch (cause) {
    return { row: row('missing', sentence(cause)) };
  }
  try {
    const { wrong, milliseconds } = await selfCheck(engine);
    if (wrong !== undefined) return { row: row('refused', wrong, milliseconds) };
    return { row: row('slower', '', milliseconds), engine };
  } catch (cause) {
    return { row: row('refused', sentence(cause)) };
  }
}

function verdict(row: EngineRow, best: EngineRow): EngineRow {
  if (row === best) return { ...row, state: 'used', reason: `gradients are right; ${ms(row)} a step` };
  if (row.state !== 'slower') return row;
  return { ...row, reason: `gradients are right; ${ms(row)} a step against ${ms(best)}` };
}

function ms({ milliseconds }: EngineRow): string {
  return `${(milliseconds as number).toPrecision(3)} ms`;
}

function sentence(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? `: ${cause.cause.message}` : '';
  return `${cause instanceof Error ? cause.message : String(cause)}${inner}`.split('\n')[0] as string;
}

function none(rows: readonly EngineRow[]): TacitError<EngineErrorCode> {
  const reasons = rows.map((row) => `${row.name}: ${row.reason}`).join('; ');
  return new TacitError<EngineErrorCode>('ENGINE_NONE', `no engine computes right gradients here (${reasons})`, {
    fix: 'Run tacit doctor.',
  });
}
