import { afterAll, beforeAll } from 'vitest';
import { createMemoryStore } from '../../shared/store/memory.ts';
import type { Store } from '../../shared/store/port.ts';
import { openTestBudget, startTestCoordinator, type TestCoordinator, type TestParticipant } from './federation.ts';

/** A coordinator with a budget that the tests of a file share. It ends with them, after the participants that they add. */
export function sharedSite(epsilon: number, store: Store = createMemoryStore()) {
  const participants: TestParticipant[] = [];
  let site: TestCoordinator;
  beforeAll(async () => {
    site = await startTestCoordinator({ store });
    await openTestBudget(site.coordinator, epsilon);
  });
  afterAll(async () => {
    for (const participant of participants) participant.stop();
    await site.close();
  });
  return {
    participants,
    get coordinator() {
      return site.coordinator;
    },
    get url() {
      return site.url;
    },
  };
}
