import { TacitError } from '../core/errors.ts';
import type { ProtocolErrorCode } from '../protocol/errors.ts';
import { nothingToTakeBack } from './agreement.ts';
import { ParticipantMemory } from './memory.ts';
import type { ParticipantOptions } from './options.ts';
import { runParticipant } from './session.ts';

type WithdrawalOptions = Pick<
  ParticipantOptions,
  'link' | 'store' | 'signer' | 'rng' | 'clock' | 'signal' | 'transport'
> & {
  readonly reason: string;
};

/**
 * Takes a consent back: a session that says so, signed, and ends when the coordinator has it in its ledger. Needs no data, no
 * policy and no engine. Said again, it changes nothing.
 * @throws CONSENT_REQUIRED when there is none; RUN_CLOSED when the run is over; what a session fails with
 */
export async function withdrawFrom({ reason, ...options }: WithdrawalOptions): Promise<{ readonly run: string }> {
  if (reason.trim() === '')
    throw new TacitError<ProtocolErrorCode>('MESSAGE_INVALID', 'a withdrawal has no reason', {
      where: 'reason',
      fix: 'Say in a few words why.',
    });
  // A stranger must not take a seat only to say that it wants none.
  if (!(await ParticipantMemory.open(options.store)).hasConsented) throw nothingToTakeBack('this site');
  let run = '';
  const session = runParticipant({
    ...options,
    withdraw: reason,
    organisation: 'withdrawing',
    engineName: 'none',
    answer: () => Promise.resolve(null),
    createTrainer: () => Promise.reject(new Error('a session that withdraws does not train')),
  });
  for await (const event of session) {
    if (event.kind === 'refused' && event.code === 'CONSENT_WITHDRAWN') run = event.run;
    if (event.kind === 'failed') {
      const { code, message, fix } = event;
      throw new TacitError(code, message, fix === undefined ? {} : { fix });
    }
    if (event.kind === 'finished') {
      throw new TacitError<ProtocolErrorCode>(
        'RUN_CLOSED',
        `the run is ${event.run.state}: there is nothing left to withdraw from`,
        {
          where: event.run.id,
        },
      );
    }
  }
  if (run !== '') return { run };
  throw new TacitError<ProtocolErrorCode>('CONNECTION_LOST', 'the coordinator did not take the withdrawal', {
    fix: 'Type the command again when it can be reached.',
  });
}
