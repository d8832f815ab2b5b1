import type { RecordColumns } from '../text/records.ts';
import { labelsOf, type Plan } from './plan.ts';

/** Where a plan finds text, label and, when the unit of privacy is a person, whose record it is. */
export function recordColumns({ task, privacy }: Pick<Plan, 'task' | 'privacy'>): RecordColumns {
  const person = privacy.unit === 'person' ? { person: privacy.column } : {};
  return { ...labelledColumns({ task }), ...person };
}

/** Of the coordinator's own texts, which protect nobody. */
export function labelledColumns({ task }: Pick<Plan, 'task'>): RecordColumns {
  const { kind, text, label, header } = task;
  return {
    text,
    label,
    task: kind,
    labels: labelsOf({ task }),
    ...('labelValues' in task && task.labelValues !== undefined ? { labelValues: task.labelValues } : {}),
    ...(header === undefined ? {} : { header }),
  };
}
