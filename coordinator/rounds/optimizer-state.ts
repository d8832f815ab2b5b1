import type { ServerOptimizerState } from '../../shared/aggregation/server-optimizers.ts';
import { concat, fromUtf8 } from '../../shared/core/bytes.ts';
import { canonicalBytes } from '../../shared/core/canonical.ts';

/** `u32 header length ‖ header (JSON) ‖ momentum ‖ second moment`, float64 little-endian: what the store keeps between rounds. */
export function encodeOptimizerState(state: ServerOptimizerState): Uint8Array {
  const { optimizer, steps, momentum, secondMoment } = state;
  const header = canonicalBytes({ optimizer, steps, lengths: [momentum.length, secondMoment.length] });
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, header.length, true);
  return concat(length, header, float64Bytes(momentum), float64Bytes(secondMoment));
}

export function decodeOptimizerState(bytes: Uint8Array): ServerOptimizerState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = view.getUint32(0, true);
  const header = JSON.parse(fromUtf8(bytes.subarray(4, 4 + headerLength))) as {
    optimizer: ServerOptimizerState['optimizer'];
    steps: number;
    lengths: [number, number];
  };
  const read = (at: number, length: number) =>
    Float64Array.from({ length }, (_, i) => view.getFloat64(at + 8 * i, true));
  const at = 4 + headerLength;
  const [first, second] = header.lengths;
  return {
    optimizer: header.optimizer,
    steps: header.steps,
    momentum: read(at, first),
    secondMoment: read(at + 8 * first, second),
  };
}

function float64Bytes(values: Float64Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) view.setFloat64(8 * i, values[i] as number, true);
  return bytes;
}
