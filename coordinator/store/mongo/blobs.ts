import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Db, GridFSBucket, type GridFSFile } from 'mongodb';
import { blobCorrupt, blobMissing, checkBlobName, checkRange } from '../../../shared/store/names.ts';
import type { Store } from '../../../shared/store/port.ts';

const CHUNK_BYTES = 1 << 20;

type Blobs = Pick<Store, 'putBlob' | 'getBlob' | 'blobSize' | 'deleteBlob'>;

/**
 * GridFS files whose filename is the SHA-256. GridFS writes the file document after all its chunks are acknowledged, so
 * a file that is listed is whole; a writer that died leaves unlisted chunks. Two writers of one blob may leave two equal files.
 */
export function createGridBlobs(db: Db): Blobs {
  const bucket = new GridFSBucket(db, { bucketName: 'blobs', chunkSizeBytes: CHUNK_BYTES });
  const find = async (sha256: string): Promise<GridFSFile | undefined> => {
    checkBlobName(sha256);
    return (await bucket.find({ filename: sha256 }, { limit: 1 }).toArray())[0];
  };
  return {
    async putBlob(bytes) {
      const key = createHash('sha256').update(bytes).digest('hex');
      if ((await find(key)) !== undefined) return key;
      await pipeline(Readable.from(pieces(bytes)), bucket.openUploadStream(key));
      return key;
    },
    async getBlob(sha256, range) {
      const file = await find(sha256);
      if (file === undefined) throw blobMissing(sha256);
      const { start, end } = checkRange(sha256, file.length, range);
      if (start === end) return new Uint8Array(0);
      const parts: Buffer[] = [];
      for await (const part of bucket.openDownloadStream(file._id, { start, end })) parts.push(part as Buffer);
      const bytes = new Uint8Array(Buffer.concat(parts));
      const whole = range === undefined;
      if (bytes.length !== end - start || (whole && createHash('sha256').update(bytes).digest('hex') !== sha256))
        throw blobCorrupt(sha256);
      return bytes;
    },
    async blobSize(sha256) {
      return (await find(sha256))?.length;
    },
    async deleteBlob(sha256) {
      checkBlobName(sha256);
      for await (const file of bucket.find({ filename: sha256 })) await bucket.delete(file._id);
    },
  };
}

function* pieces(bytes: Uint8Array): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    yield Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(CHUNK_BYTES, bytes.length - at));
  }
}
