import type { RecordColumns } from '../text/records.ts';
import { labelsOf, type Plan } from './plan.ts';

/** Where a plan finds text, label and, when the unit of privacy is a person, whose record it is. */
export function recordColumns({ task, privacy }: Pick<Plan, 'task' | 'privacy'>): RecordColumns {
  const person = privacy.unit === 'person' ? { person: privacy.column } : {};
  return { ...heldOutColumns({ task }), ...person };
}

/** Of the coordinator's own texts, which protect nobody. */
export function heldOutColumns({ task }: Pick<Plan, 'task'>): RecordColumns {
  const { text, header } = task;
  return { text, ...(header === undefined ? {} : { header }), ...targetColumns(task) };
}

function targetColumns(
  task: Plan['task'],
): Pick<RecordColumns, 'label' | 'labels' | 'task' | 'labelValues' | 'textPer'> {
  if (task.kind === 'pretraining') return { labels: [], textPer: task.textPer };
  const { kind, label } = task;
  const labels = labelsOf({ task });
  if (!('labelValues' in task) || task.labelValues === undefined) return { label, labels, task: kind };
  return { label, labels, task: kind, labelValues: task.labelValues };
}
