import { afterEach } from 'vitest';
import { createMemoryStore } from '../../shared/store/memory.ts';
import {
  type ParticipantSetup,
  startParticipant,
  startTestCoordinator,
  type TestCoordinator,
  type TestCoordinatorOptions,
  type TestParticipant,
} from './federation.ts';

/** A coordinator and participants for each test of a file. They end with the test. */
export function freshSites() {
  const participants: TestParticipant[] = [];
  let site: TestCoordinator | undefined;
  afterEach(async () => {
    for (const participant of participants.splice(0)) participant.stop();
    await site?.close();
    site = undefined;
  });
  return {
    /** Those of this test, in the order in which they came. */
    participants,
    async start(options: Partial<TestCoordinatorOptions> = {}): Promise<TestCoordinator> {
      site = await startTestCoordinator({ store: createMemoryStore(), ...options });
      return site;
    },
    takePart(setup: ParticipantSetup): TestParticipant {
      const participant = startParticipant(setup);
      participants.push(participant);
      return participant;
    },
  };
}
