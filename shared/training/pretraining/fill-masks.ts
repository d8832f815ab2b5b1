import type { Pretraining } from '../../bert/pretraining.ts';
import { NOT_PREDICTED } from '../../bert/pretraining-slots.ts';
import { TacitError } from '../../core/errors.ts';
import type { TextErrorCode } from '../../text/errors.ts';
import type { Tokenizer } from '../../text/tokenizer.ts';
import type { BatchShape } from '../batches.ts';

/** The likeliest pieces for one [MASK], likeliest first, with their probabilities. */
export type FilledMask = Readonly<Record<string, number>>;

/** Pieces that are told for a mask. */
const TOP = 5;

/**
 * What stands in the place of each [MASK] of each text, in order.
 * @param shape - the model's, with the most masks that a text may have
 * @throws TOKENIZER_INPUT for a text without a mask among the tokens that are read, or with more masks
 */
export async function fillMasks(
  bert: Pretraining,
  tokenizer: Tokenizer,
  texts: readonly string[],
  shape: BatchShape & { readonly masked: number },
): Promise<FilledMask[][]> {
  const encoded = texts.map((text, i) => withMasks(tokenizer, text, i, shape));
  const out: FilledMask[][] = [];
  for (let start = 0; start < texts.length; start += shape.batch) {
    const batch = encoded.slice(start, start + shape.batch);
    const { predictions } = await bert.logits(batchOf(batch, tokenizer, shape));
    const masks = batch.map((ids) => ids.filter((id) => id === tokenizer.special.mask).length);
    const vocabulary = predictions.length / masks.reduce((a, b) => a + b, 0);
    let at = 0;
    for (const count of masks) {
      const own = Array.from({ length: count }, (_, m) => at + m);
      out.push(own.map((m) => top(predictions.subarray(m * vocabulary, (m + 1) * vocabulary), tokenizer)));
      at += count;
    }
  }
  return out;
}

function withMasks(
  tokenizer: Tokenizer,
  text: string,
  index: number,
  { tokens, masked }: BatchShape & { readonly masked: number },
): Int32Array {
  const { ids } = tokenizer.encode(text, tokens);
  const masks = ids.filter((id) => id === tokenizer.special.mask).length;
  if (masks > 0 && masks <= masked) return ids;
  throw new TacitError<TextErrorCode>(
    'TOKENIZER_INPUT',
    masks === 0
      ? `there is no [MASK] among the first ${tokens} tokens of the text`
      : `${masks} times [MASK] in a text; at most ${masked} are filled`,
    {
      where: `text ${index + 1}`,
      fix: 'This model fills gaps: write [MASK] where a word is wanted, as in "You have won a [MASK]."',
    },
  );
}

function batchOf(rows: readonly Int32Array[], { special }: Tokenizer, { batch, tokens }: BatchShape) {
  const size = batch * tokens;
  const out = {
    inputIds: new Int32Array(size).fill(special.pad),
    attentionMask: new Int32Array(size),
    tokenTypeIds: new Int32Array(size),
    labels: new Int32Array(size).fill(NOT_PREDICTED),
    nextSentenceLabel: new Int32Array(batch),
    tokens,
  };
  // A row without a text reads one token: a row that attends to nothing has no softmax.
  for (let row = 0; row < batch; row++) out.attentionMask[row * tokens] = 1;
  for (const [row, ids] of rows.entries()) {
    out.inputIds.set(ids, row * tokens);
    out.attentionMask.fill(1, row * tokens, row * tokens + ids.length);
    // Any piece: what stands there is asked, not compared.
    for (const [at, id] of ids.entries()) if (id === special.mask) out.labels[row * tokens + at] = 0;
  }
  return out;
}

function top(logits: Float32Array, tokenizer: Tokenizer): FilledMask {
  const order = [...logits.keys()].sort((a, b) => (logits[b] as number) - (logits[a] as number));
  const best = logits[order[0] as number] as number;
  const total = logits.reduce((sum, z) => sum + Math.exp(z - best), 0);
  const likeliest = order
    .slice(0, TOP)
    .map((id): [string, number] => [tokenizer.token(id) ?? `#${id}`, Math.exp((logits[id] as number) - best) / total]);
  return Object.fromEntries(likeliest);
}
