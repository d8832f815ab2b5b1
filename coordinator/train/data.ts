import { TacitError } from '../../shared/core/errors.ts';
import { type Rng, shuffle } from '../../shared/core/rng.ts';
import { readDataFiles } from '../../shared/node/data-files.ts';
import type { TextErrorCode } from '../../shared/text/errors.ts';
import type { TextRecord } from '../../shared/text/record.ts';
import { labelParts } from '../../shared/text/records.ts';
import type { DataReport } from '../../shared/text/report.ts';
import { unitsOf } from '../../shared/training/units.ts';
import type { TrainSettings } from './settings.ts';

export interface TrainData {
  readonly train: readonly TextRecord[];
  readonly held: readonly TextRecord[];
  readonly report: DataReport;
}

/** Training and held-out records. A person's records stay on one side. @throws DATA_* */
export async function readTrainData(settings: TrainSettings, labels: readonly string[], rng: Rng): Promise<TrainData> {
  const { records, report } = await readDataFiles(settings.data, columnsOf(settings, labels));
  if (settings.heldOut !== undefined) {
    const held = await readDataFiles(settings.heldOut, columnsOf(settings, labels));
    return { train: records, held: held.records, report };
  }
  return { ...split(records, settings.holdOut, rng), report };
}

/**
 * What the label column says, in order, for a run that promises nothing: with a privacy budget the labels are part of
 * the question and have to be public.
 * @throws DATA_*
 */
export async function labelsInData(settings: TrainSettings): Promise<string[]> {
  const { records } = await readDataFiles(settings.data, columnsOf(settings, 'any'));
  const found = new Set(
    records.flatMap(({ label }) => (settings.task === 'multi-label' ? labelParts(label) : [label])),
  );
  const numbers = [...found].every((label) => Number.isFinite(Number(label)));
  const labels = [...found].sort((a, b) => (numbers ? Number(a) - Number(b) : a < b ? -1 : 1));
  if (labels.length >= 2 && labels.length <= 1000) return labels;
  throw new TacitError<TextErrorCode>(
    'DATA_LABELS',
    `the column ${settings.label} holds ${labels.length} different label(s)`,
    { where: settings.data, fix: 'Name the column with --label, or the labels with --labels.' },
  );
}

function columnsOf(settings: TrainSettings, labels: readonly string[] | 'any') {
  const { text, label, task, labelValues, header, person } = settings;
  return {
    text,
    label,
    task,
    labels,
    ...(labelValues === undefined ? {} : { labelValues }),
    ...(header === undefined ? {} : { header }),
    ...(person === undefined ? {} : { person }),
  };
}

function split(records: readonly TextRecord[], part: number, rng: Rng): { train: TextRecord[]; held: TextRecord[] } {
  const units = unitsOf(records);
  const order = shuffle(
    rng,
    Array.from({ length: units.count }, (_, u) => u),
  );
  const heldUnits = new Set(order.slice(0, Math.floor(part * units.count)));
  const isHeld = (i: number): boolean => heldUnits.has(units.of[i] as number);
  const train = records.filter((_, i) => !isHeld(i));
  if (train.length > 0) return { train, held: records.filter((_, i) => isHeld(i)) };
  throw new TacitError<TextErrorCode>('DATA_EMPTY', 'no record is left to train on', { fix: 'Hold out less.' });
}
