import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { utf8 } from '../../shared/core/bytes.ts';
import { prepareMail } from '../../shared/node/datasets/spam-assassin.ts';
import type { TextRecord } from '../../shared/text/record.ts';
import type { HeldOut } from '../service.ts';

export interface Shard {
  readonly organisation: string;
  /** JSON Lines with the fields `text` and `label`; its organisation's client alone reads it. */
  readonly file: string;
  readonly records: number;
}

export interface MailData {
  readonly shards: readonly Shard[];
  readonly heldOut: HeldOut;
  readonly records: number;
}

/**
 * Writes the mail that npm brought along as one file for each organisation and keeps the held-out mail for the
 * coordinator, whose process sees all of it only because everybody is played on one machine here.
 * @throws DATASET_MISSING
 */
export async function writeMailData(dir: string): Promise<MailData> {
  const { silos, validation, test } = await prepareMail();
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const shards = await Promise.all(
    silos.map(async ({ organisation, records }): Promise<Shard> => {
      const file = join(dir, `${organisation}.jsonl`);
      await writeFile(file, jsonLines(records), { mode: 0o600 });
      return { organisation, file, records: records.length };
    }),
  );
  const records = shards.reduce((n, s) => n + s.records, 0);
  return { shards, heldOut: { validation: jsonLines(validation), test: jsonLines(test) }, records };
}

function jsonLines(records: readonly TextRecord[]): Uint8Array {
  return utf8(records.map(({ text, label }) => `${JSON.stringify({ text, label })}\n`).join(''));
}
