import type { Command } from 'commander';
import { hex } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { systemRng } from '../../shared/core/rng.ts';
import { decimal } from '../../shared/ledger/decimal.ts';
import type { EntryInput } from '../../shared/ledger/entries.ts';
import { openLedger } from '../../shared/ledger/log.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../shared/node/command-line.ts';
import { onnxCpuEngine } from '../../shared/node/engines.ts';
import { packageVersion } from '../../shared/node/package-root.ts';
import { type AuditDemand, type AuditReport, audit } from '../../shared/training/audit/audit.ts';
import { openIdentity, passphraseFromEnvironment } from '../keys/identity.ts';
import { writeVkey } from '../keys/vkey.ts';
import { readPlanFile } from '../runs/plan-file.ts';
import { withWritableStore } from '../store/data-dir-lock.ts';
import { LEDGER_STREAM } from '../store/open-store.ts';
import { configOf, withSettings } from './settings.ts';

const EXAMPLE = 'tacit audit --plan plans/quickstart.yaml --data-dir tacit-data';
/** Strong enough to catch every fault that the project's own `npm run audit` plants. */
const DEFAULTS = {
  rounds: 2000,
  samplingProbability: 0.01,
  l2Clip: 0.1,
  noiseMultiplier: 1.1,
  clients: 3,
  delta: 1e-5,
};

/** `tacit audit`: measures a lower bound on ε from real training with canaries and records it beside the claim. */
export function auditCommand(): Command {
  const audited = command(
    'audit',
    'measure what a plan’s mechanism leaks at least, and compare with its claim',
    EXAMPLE,
  )
    .option('--plan <file>', 'audit the mechanism of this plan’s stage instead of a standard one')
    .option('--stage <n>', 'which stage of the plan, from 1', '1')
    .option('--method <name>', 'one-run or many-runs', 'one-run')
    .option('--canaries <n>', 'canaries of the one run, or runs', '1024')
    .option('--confidence <p>', 'of the lower bound', '0.95')
    .option('--no-entry', 'print only; write nothing into the ledger')
    .option('--json', 'one JSON object');
  return withSettings(audited, ['dataDir', 'store', 'origin']).action(async (options: Record<string, unknown>) => {
    const { demand, planHash } = await demandOf(options);
    const terminal = openTerminal(options['json'] === true);
    const report = await audit(demand, onnxCpuEngine(), systemRng);
    const entry = options['entry'] === false ? null : await record(options, report, planHash);
    const { verdict, claim, holds } = report;
    terminal.emit({ demand, claim: claim.toView(), ...verdict, holds, planHash, ledgerIndex: entry });
    terminal.say(`epsilon is at least ${verdict.epsilonLowerBound.toFixed(3)} (confidence ${demand.confidence})`);
    terminal.say(`  ${verdict.correct} of ${verdict.guesses} guesses about ${verdict.canaries} canaries were right`);
    terminal.say(`the claim: ${String(claim)}`);
    terminal.say(holds ? 'The claim stands against this attack.' : 'THE CLAIM IS REFUTED.');
    if (entry !== null) terminal.say(`ledger entry ${entry}`);
    if (!holds) {
      throw new TacitError<AuditErrorCode>('VERIFICATION_FAILED', 'the measured ε is above the claimed one', {
        fix: 'Stop training with this build and report it: its noise, clipping or sampling is broken.',
      });
    }
  });
}

type AuditErrorCode = 'VERIFICATION_FAILED';

/** What to audit: the plan's stage with its computed noise, or the standard mechanism. */
async function demandOf(options: Record<string, unknown>): Promise<{ demand: AuditDemand; planHash: string | null }> {
  const method = options['method'] === 'many-runs' ? 'many-runs' : 'one-run';
  if (options['method'] !== method) throw usage('--method', 'it is one-run or many-runs');
  const common = {
    method,
    canaries: numberOf(options, 'canaries'),
    confidence: numberOf(options, 'confidence'),
  } as const;
  if (typeof options['plan'] !== 'string') return { demand: { ...DEFAULTS, ...common }, planHash: null };
  const { plan } = await readPlanFile(options['plan']);
  const { termsOf } = await import('../runs/plan-terms.ts');
  const { stages, planHash } = await termsOf(plan);
  const index = numberOf(options, 'stage') - 1;
  const [stage, computed] = [plan.stages[index], stages[index]];
  if (stage === undefined || computed === undefined)
    throw usage('--stage', `the plan has ${plan.stages.length} stages`);
  if (stage.algorithm !== 'dp-fedsgd' || plan.privacy.unit !== 'record')
    throw usage('--stage', 'only a dp-fedsgd stage that protects records can be audited');
  if (!(computed.noiseMultiplier > 0)) throw usage('--stage', 'this stage adds no noise: it claims nothing');
  const demand: AuditDemand = {
    ...common,
    rounds: stage.rounds,
    samplingProbability: stage.samplingProbability,
    l2Clip: stage.l2Clip,
    noiseMultiplier: Number(computed.noiseMultiplier),
    clients: plan.secureAggregation.minimumCohort,
    delta: plan.privacy.delta,
  };
  return { demand, planHash };
}

/** Writes the entry `audit` and signs a checkpoint over it. @returns its index */
async function record(
  options: Record<string, unknown>,
  { demand, claim, verdict, holds }: AuditReport,
  planHash: string | null,
): Promise<number> {
  const { config } = await configOf(options);
  return withWritableStore(config, async (store) => {
    const { signer } = await openIdentity(config.dataDir, passphraseFromEnvironment(), systemRng);
    const ledger = await openLedger({ store, stream: LEDGER_STREAM, origin: config.origin, signer, clock: Date });
    const view = claim.toView();
    const entry: EntryInput<'audit'> = {
      kind: 'audit',
      planHash,
      method: demand.method,
      statistic: verdict.statistic,
      tests: verdict.tests,
      canaries: verdict.canaries,
      guesses: verdict.guesses,
      correct: verdict.correct,
      rounds: demand.rounds,
      samplingProbability: decimal(demand.samplingProbability),
      noiseMultiplier: decimal(demand.noiseMultiplier),
      l2Clip: decimal(demand.l2Clip),
      confidence: decimal(demand.confidence),
      delta: decimal(demand.delta),
      epsilonLowerBound: decimal(verdict.epsilonLowerBound),
      epsilonClaimed: decimal(view.epsilon),
      unit: view.unit,
      adversary: view.adversary,
      holds,
      library: `tacit ${packageVersion}`,
    };
    // Every audit is an event of its own, however like the last one it is.
    const { index } = await ledger.append(entry, `audit/${hex(systemRng.bytes(16))}`);
    await ledger.checkpoint();
    await writeVkey(config.dataDir, ledger.vkey);
    return index;
  });
}

function numberOf(options: Record<string, unknown>, name: string): number {
  const value = Number(options[name]);
  if (Number.isFinite(value)) return value;
  throw usage(`--${name}`, `"${String(options[name])}" is not a number`);
}

function usage(where: string, what: string): TacitError<CommandLineErrorCode> {
  return new TacitError('USAGE', what, { where });
}
