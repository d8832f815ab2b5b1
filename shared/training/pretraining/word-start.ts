import { fillGaussian } from '../../bert/parameters.ts';
import type { Rng } from '../../core/rng.ts';
import type { EncodedCorpus } from './corpus.ts';
import { orthonormalise } from './linear-algebra.ts';

export interface WordStartOptions {
  /** Numbers in one embedding. */
  readonly width: number;
  /** Pieces to each side that count as neighbours, by 1/distance. Default 8. */
  readonly window?: number;
  /** Root mean square of the numbers of the result. Default 0.05. */
  readonly rms?: number;
}

/** Exponent that smooths the neighbours' frequencies (Levy, Goldberg & Dagan 2015, §3.1). */
const SMOOTHING = 0.75;
const ITERATIONS = 8;

/** A symmetric matrix in compressed sparse rows. */
interface SparseMatrix {
  /** Row i is entries[starts[i] … starts[i + 1]). */
  readonly starts: Int32Array;
  readonly columns: Int32Array;
  readonly values: Float32Array;
}

/**
 * Word embeddings to start from, out of the corpus' own statistics: the leading eigenvectors, each times the root of
 * its eigenvalue, of the positive pointwise mutual information of neighbouring pieces (Levy & Goldberg 2014), every
 * piece's vector at the same length. Takes seconds, and gives a small BERT what masked-LM steps teach it slowly.
 * @returns [vocabularySize × width], row-major; rows of pieces that the corpus never has are zero
 */
export function wordStart(corpus: EncodedCorpus, options: WordStartOptions, rng: Rng): Float32Array {
  const { width, window = 8, rms = 0.05 } = options;
  const information = mutualInformation(neighbours(corpus, window), corpus.vocabularySize);
  const { vectors, values } = leadingEigenvectors(information, corpus.vocabularySize, width, rng);
  const out = new Float32Array(corpus.vocabularySize * width);
  for (let piece = 0; piece < corpus.vocabularySize; piece++) {
    const row = Float64Array.from(
      values,
      (value, j) => (vectors[piece * width + j] as number) * Math.sqrt(Math.abs(value)),
    );
    const length = Math.hypot(...row);
    if (length > 0)
      out.set(
        Float32Array.from(row, (x) => (x / length) * rms * Math.sqrt(width)),
        piece * width,
      );
  }
  return out;
}

/** Rows counted at a time, so that memory stays at rows × vocabulary. */
const BLOCK = 2048;

/** How often pieces are near each other within a document, each pair weighted by 1/distance. */
function neighbours(corpus: EncodedCorpus, window: number): SparseMatrix {
  const size = corpus.vocabularySize;
  const starts = new Int32Array(size + 1);
  const columns: Int32Array[] = [];
  const values: Float32Array[] = [];
  for (let from = 0; from < size; from += BLOCK) {
    const rows = Math.min(BLOCK, size - from);
    const counts = countBlock(corpus, window, from, rows);
    for (let r = 0; r < rows; r++) {
      const row = counts.subarray(r * size, (r + 1) * size);
      const present: number[] = [];
      for (let j = 0; j < size; j++) if (row[j] !== 0) present.push(j);
      columns.push(Int32Array.from(present));
      values.push(Float32Array.from(present, (j) => row[j] as number));
      starts[from + r + 1] = (starts[from + r] as number) + present.length;
    }
  }
  return {
    starts,
    columns: joinInts(columns, starts[size] as number),
    values: joinFloats(values, starts[size] as number),
  };
}

function countBlock(
  { pieces, sentences, documents, vocabularySize }: EncodedCorpus,
  window: number,
  from: number,
  rows: number,
): Float32Array {
  const counts = new Float32Array(rows * vocabularySize);
  for (let d = 0; d + 1 < documents.length; d++) {
    const begin = sentences[documents[d] as number] as number;
    const end = sentences[documents[d + 1] as number] as number;
    for (let i = begin; i < end; i++) {
      const row = (pieces[i] as number) - from;
      if (row < 0 || row >= rows) continue;
      const last = Math.min(end - 1, i + window);
      for (let j = Math.max(begin, i - window); j <= last; j++) {
        if (j === i) continue;
        const at = row * vocabularySize + (pieces[j] as number);
        counts[at] = (counts[at] as number) + 1 / Math.abs(i - j);
      }
    }
  }
  return counts;
}

/** max(0, log of how much more often two pieces meet than by chance), frequencies smoothed on both sides alike. */
function mutualInformation(counts: SparseMatrix, size: number): SparseMatrix {
  const logs = new Float64Array(size);
  let smoothed = 0;
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let e = counts.starts[i] as number; e < (counts.starts[i + 1] as number); e++)
      sum += counts.values[e] as number;
    logs[i] = Math.log(sum);
    smoothed += sum ** SMOOTHING;
  }
  const values = counts.values.map((value) => Math.log(value) + Math.log(smoothed));
  for (let i = 0; i < size; i++) {
    for (let e = counts.starts[i] as number; e < (counts.starts[i + 1] as number); e++) {
      const chance = ((1 + SMOOTHING) / 2) * ((logs[i] as number) + (logs[counts.columns[e] as number] as number));
      values[e] = Math.max(0, (values[e] as number) - chance);
    }
  }
  return { ...counts, values };
}

/** Block power iteration: the leading subspace, then the Rayleigh quotient of each of its columns. */
function leadingEigenvectors(
  matrix: SparseMatrix,
  size: number,
  width: number,
  rng: Rng,
): { vectors: Float64Array; values: Float64Array } {
  const drawn = new Float32Array(size * width);
  fillGaussian(drawn, 1, rng);
  let vectors = Float64Array.from(drawn);
  for (let i = 0; i < ITERATIONS; i++) {
    orthonormalise(vectors, width);
    vectors = multiply(matrix, vectors, size, width);
  }
  orthonormalise(vectors, width);
  const image = multiply(matrix, vectors, size, width);
  const values = new Float64Array(width);
  for (let at = 0; at < vectors.length; at++) {
    values[at % width] = (values[at % width] as number) + (vectors[at] as number) * (image[at] as number);
  }
  return { vectors, values };
}

function multiply(matrix: SparseMatrix, vectors: Float64Array, size: number, width: number): Float64Array<ArrayBuffer> {
  const out = new Float64Array(size * width);
  for (let i = 0; i < size; i++) {
    const to = i * width;
    for (let e = matrix.starts[i] as number; e < (matrix.starts[i + 1] as number); e++) {
      const value = matrix.values[e] as number;
      if (value === 0) continue;
      const from = (matrix.columns[e] as number) * width;
      for (let j = 0; j < width; j++) out[to + j] = (out[to + j] as number) + value * (vectors[from + j] as number);
    }
  }
  return out;
}

function joinInts(parts: readonly Int32Array[], length: number): Int32Array {
  const out = new Int32Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function joinFloats(parts: readonly Float32Array[], length: number): Float32Array {
  const out = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
