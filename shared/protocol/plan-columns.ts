import type { RecordColumns } from '../text/records.ts';
import type { Plan } from './plan.ts';

/** Where a plan finds text, label and, when the unit of privacy is a person, whose record it is. */
export function recordColumns({ task, privacy }: Pick<Plan, 'task' | 'privacy'>): RecordColumns {
  const person = privacy.unit === 'person' ? { person: privacy.column } : {};
  return { ...labelledColumns({ task }), ...person };
}

/** Of the coordinator's own texts, which protect nobody. */
export function labelledColumns({ task }: Pick<Plan, 'task'>): RecordColumns {
  const { text, label, labels, labelValues, header } = task;
  return {
    text,
    label,
    labels,
    ...(labelValues === undefined ? {} : { labelValues }),
    ...(header === undefined ? {} : { header }),
  };
}
