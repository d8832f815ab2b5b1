import { TacitError } from '../core/errors.ts';
import { littleEndianBytes } from '../core/keystream.ts';

/** Little-endian bytes of float32 values, on any machine; a view of them where the machine allows it. */
export function float32Bytes(values: Float32Array): Uint8Array {
  return littleEndianBytes(new Uint32Array(values.buffer, values.byteOffset, values.length));
}

/** @param length - how many values are expected. @throws TENSOR_SHAPE */
export function bytesToFloat32(bytes: Uint8Array, length: number): Float32Array {
  if (bytes.length !== 4 * length) {
    throw new TacitError('TENSOR_SHAPE', `${bytes.length} bytes do not hold ${length} float32 numbers`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length }, (_, i) => view.getFloat32(4 * i, true));
}
