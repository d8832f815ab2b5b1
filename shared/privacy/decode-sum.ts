import { ChunkSpace } from '../kernels/chunk-space.ts';
import { privacyError } from './errors.ts';
import type { MechanismParameters } from './mechanism.ts';
import { isRotated } from './ring-room.ts';
import { Rotation } from './rotation.ts';

/** Numbers of a piece; the last of a rotated sum has up to a block more. A multiple of every block's length. */
const PIECE = 2 ** 20;

export interface DecodedPiece {
  /** Of the piece among all, from 0. */
  readonly index: number;
  /** Where it begins in the vector. */
  readonly begin: number;
  /** Valid until the next piece. */
  readonly values: Float64Array;
}
type Visit = (piece: DecodedPiece) => Promise<void> | void;

/**
 * The real sum out of an unmasked one, piece by piece, the last piece first: centred in [−2^(b−1), 2^(b−1)), rotated back,
 * divided by the scale. A piece of the ring sum is not read any more once its piece was visited.
 * @param ringSum - words of which the low b bits count
 * @param rotation - the session's seed; not looked at for b = 32
 * @throws PRIVACY_VECTOR_INVALID for a wrong length
 */
export async function decodePieces(
  ringSum: Uint32Array,
  parameters: MechanismParameters,
  rotation: Uint8Array,
  visit: Visit,
): Promise<void> {
  const { dimension, scale, ringBits } = parameters;
  if (ringSum.length !== dimension)
    throw privacyError('PRIVACY_VECTOR_INVALID', `${ringSum.length} elements for a mechanism of ${dimension}`);
  const shift = 32 - ringBits;
  const centred = (into: Float64Array, begin: number): void => {
    for (let i = 0; i < into.length; i++) into[i] = (((ringSum[begin + i] as number) << shift) >> shift) / scale;
  };
  if (!isRotated(parameters)) {
    const piece = new Float64Array(Math.min(PIECE, dimension));
    for (let begin = PIECE * Math.floor((dimension - 1) / PIECE); begin >= 0; begin -= PIECE) {
      const values = piece.subarray(0, Math.min(PIECE, dimension - begin));
      centred(values, begin);
      await visit({ index: begin / PIECE, begin, values });
    }
    return;
  }
  const rotated = await Rotation.of(rotation, dimension);
  const { length, count } = rotated.blocks;
  const together = PIECE / length;
  const piece = new Float64Array(Math.min(PIECE + length, dimension));
  await ChunkSpace.use(0, async (space) => {
    for (let first = together * Math.floor((count - 1) / together); first >= 0; first -= together) {
      const last = Math.min(first + together, count) - 1;
      const begin = first * length;
      for (let k = first; k <= last; k++) {
        const [from, to] = rotated.at(k);
        const block = space.block.subarray(0, to - from);
        centred(block, from);
        await rotated.backward(space, block, k);
        piece.set(block, from - begin);
      }
      const values = piece.subarray(0, rotated.at(last)[1] - begin);
      await visit({ index: first / together, begin, values });
    }
  });
}
