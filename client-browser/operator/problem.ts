import type { TemplateResult } from 'lit';
import { notice } from '../components/badge.ts';
import type { RequestProblem } from '../lib/api.ts';
import { sentence } from '../lib/format.ts';

/** What the coordinator refused, in its words and with its code. */
export function problemNotice(problem: RequestProblem): TemplateResult {
  const title = problem.code === 'NOT_AUTHORISED' ? 'The operator token was not accepted.' : sentence(problem.message);
  return notice('bad', title, `${problem.fix ?? ''} (${problem.code})`, true);
}
