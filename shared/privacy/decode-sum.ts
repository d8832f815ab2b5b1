import { ChunkSpace } from '../kernels/chunk-space.ts';
import { privacyError } from './errors.ts';
import { decode, type MechanismParameters } from './mechanism.ts';
import { isRotated } from './ring-room.ts';
import { Rotation } from './rotation.ts';

/**
 * The real sum out of an unmasked one: centred in [−2^(b−1), 2^(b−1)), rotated back, divided by the scale.
 * @param ringSum - words of which the low b bits count
 * @param rotation - the session's seed; not looked at for b = 32
 * @throws PRIVACY_VECTOR_INVALID for a wrong length
 */
export async function decodeSum(
  ringSum: Uint32Array,
  parameters: MechanismParameters,
  rotation: Uint8Array,
): Promise<Float64Array> {
  const { dimension, scale, ringBits } = parameters;
  if (!isRotated(parameters)) return decode(ringSum, parameters);
  if (ringSum.length !== dimension)
    throw privacyError('PRIVACY_VECTOR_INVALID', `${ringSum.length} elements for a mechanism of ${dimension}`);
  const out = new Float64Array(dimension);
  const rotated = await Rotation.of(rotation, dimension);
  const shift = 32 - ringBits;
  await ChunkSpace.use(0, async (space) => {
    for (let k = 0; k < rotated.blocks.count; k++) {
      const [begin, end] = rotated.at(k);
      const block = space.block.subarray(0, end - begin);
      for (let i = begin; i < end; i++) block[i - begin] = (((ringSum[i] as number) << shift) >> shift) / scale;
      await rotated.backward(space, block, k);
      out.set(block, begin);
    }
  });
  return out;
}
