import { fillGaussian } from '../../bert/parameters.ts';
import type { Rng } from '../../core/rng.ts';
import type { Tokenizer } from '../../text/tokenizer.ts';
import type { LayerMeans } from '../pretraining/layer-means.ts';
import { columnMeans, gram, leadingSubspace } from '../pretraining/linear-algebra.ts';
import type { SegmentBatch } from '../pretraining/segments.ts';
import { type SentenceSpace, toTargets } from './targets.ts';
import { BLOCK_TEXTS } from './teacher.ts';

/** Longest spelling of a student's piece in the teacher's pieces, special ones included. */
const LONGEST = 16;
const ITERATIONS = 6;

/**
 * Word embeddings to start from: what the teacher says to each of the student's pieces alone, in its sentence space,
 * by principal components. Takes seconds, and is most of what a small student ever learns.
 * @param rms root mean square of the result's numbers
 * @returns [vocabulary × width], row-major
 */
export async function teacherStart(
  student: Tokenizer,
  teacher: { readonly tokenizer: Tokenizer; readonly means: LayerMeans; readonly space: SentenceSpace },
  { width, rms }: { readonly width: number; readonly rms: number },
  rng: Rng,
): Promise<Float32Array> {
  const spoken = await everyPiece(student, teacher.tokenizer, teacher.means);
  const components = principalComponents(toTargets(spoken, teacher.space), teacher.means.width, width, rng);
  const scale = rms / Math.sqrt(components.reduce((sum, x) => sum + x * x, 0) / components.length);
  return Float32Array.from(components, (x) => x * scale);
}

async function everyPiece(student: Tokenizer, teacher: Tokenizer, means: LayerMeans): Promise<Float32Array> {
  const ids = new Map<string, number>();
  for (let id = 0; id < teacher.vocabularySize; id++) ids.set(teacher.token(id) ?? '', id);
  const spelling = (piece: string): number[] => {
    const same = ids.get(piece);
    const found = same === undefined ? teacher.pieces(piece.replace(/^##/, ''), LONGEST - 2) : [same];
    return found.length === 0 ? [teacher.special.unknown] : found;
  };
  const out = new Float32Array(Math.ceil(student.vocabularySize / BLOCK_TEXTS) * BLOCK_TEXTS * means.width);
  for (let from = 0; from < student.vocabularySize; from += BLOCK_TEXTS) {
    const pieces = Array.from({ length: BLOCK_TEXTS }, (_, i) => spelling(student.token(from + i) ?? '[UNK]'));
    out.set(await means.of(asBatch(pieces, teacher.special)), from * means.width);
  }
  return out.slice(0, student.vocabularySize * means.width);
}

function asBatch(texts: readonly (readonly number[])[], { cls, sep, pad }: Tokenizer['special']): SegmentBatch {
  const numbers = texts.length * LONGEST;
  const batch = {
    inputIds: new Int32Array(numbers).fill(pad),
    attentionMask: new Int32Array(numbers),
    tokenTypeIds: new Int32Array(numbers),
    tokens: LONGEST,
  };
  for (const [row, ids] of texts.entries()) {
    batch.inputIds.set([cls, ...ids, sep], row * LONGEST);
    batch.attentionMask.fill(1, row * LONGEST, row * LONGEST + ids.length + 2);
  }
  return batch;
}

/** Coordinates of each row, less the mean row, along the `count` directions of greatest variance. */
function principalComponents(rows: Float32Array, width: number, count: number, rng: Rng): Float32Array {
  const mean = columnMeans(rows, width);
  const centred = Float64Array.from(rows, (x, at) => x - (mean[at % width] as number));
  const drawn = new Float32Array(width * count);
  fillGaussian(drawn, 1, rng);
  const directions = leadingSubspace(gram(centred, width), width, Float64Array.from(drawn), ITERATIONS);
  const n = rows.length / width;
  const out = new Float32Array(n * count);
  for (let row = 0; row < n; row++) {
    for (let i = 0; i < width; i++) {
      const x = centred[row * width + i] as number;
      for (let c = 0; c < count; c++)
        out[row * count + c] = (out[row * count + c] as number) + x * (directions[i * count + c] as number);
    }
  }
  return out;
}
