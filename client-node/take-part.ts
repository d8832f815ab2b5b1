import { systemRng } from '../shared/core/rng.ts';
import { signerFromSeed } from '../shared/core/signing.ts';
import type { SwitchListener } from '../shared/engine/fallback.ts';
import type { Terminal } from '../shared/node/command-line.ts';
import { selectNodeEngine } from '../shared/node/engines.ts';
import type { ParticipantEvent } from '../shared/participant/events.ts';
import { localTrainer } from '../shared/participant/local-trainer.ts';
import type { Policy } from '../shared/participant/policy.ts';
import { runParticipant } from '../shared/participant/session.ts';
import { readLocalData } from './local-data.ts';
import { readPolicy } from './policy-file.ts';
import { openSite, type Site } from './site.ts';

export interface ClientSettings {
  /** The join link. */
  readonly link: string;
  /** File or folder with this site's records. */
  readonly data: string;
  readonly policyFile: string | undefined;
  readonly organisation: string;
  /** Directory of identity, memory and own ledger. */
  readonly state: string;
  readonly passphrase: string | undefined;
}

/**
 * Takes part in one run with this machine's files, keys, clock and engine.
 * @throws POLICY_MISSING, POLICY_INVALID, KEYSTORE_LOCKED, ENGINE_NONE, STORE_UNAVAILABLE before anything is sent
 */
export async function* takePart(
  settings: ClientSettings,
  terminal: Terminal,
  signal: AbortSignal,
): AsyncGenerator<ParticipantEvent> {
  const policy = await readPolicy(settings.policyFile);
  const { store, identity } = await openSite(settings.state, settings.passphrase);
  try {
    yield* conversation(settings, policy, { store, identity }, terminal, signal);
  } finally {
    await store.close();
  }
}

async function* conversation(
  settings: ClientSettings,
  policy: Policy | undefined,
  { store, identity }: Site,
  terminal: Terminal,
  signal: AbortSignal,
): AsyncGenerator<ParticipantEvent> {
  if (identity.protection === 'machine') {
    terminal.say(
      'identity   protected by file permissions only; set TACIT_KEY_PASSPHRASE before the first start to encrypt it',
    );
  }
  const onSwitch: SwitchListener = (from, to, reason) => {
    terminal.emit({ event: 'engine', name: to, reason });
    terminal.say(`engine     ${from} failed, ${to} goes on with the same step (${reason})`);
  };
  const { engine, report } = await selectNodeEngine({ onSwitch });
  const used = report.find((row) => row.state === 'used');
  yield {
    kind: 'engine',
    name: engine.name,
    reason: used?.reason ?? '',
    secondsPerExample: (used?.milliseconds ?? 0) / 1000,
  };
  yield* runParticipant({
    link: settings.link,
    organisation: settings.organisation,
    // Here the site decided when it wrote its policy and started this command; the columns are known only now.
    answer: async (_, { terms }) => ({ policy, records: await readLocalData(settings.data, terms.plan, terminal) }),
    createTrainer: localTrainer({ engine, rng: systemRng }),
    engineName: engine.name,
    signer: signerFromSeed(identity.seed),
    store,
    rng: systemRng,
    clock: Date,
    signal,
  });
}
