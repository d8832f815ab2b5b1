import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { TacitError } from '../../shared/core/errors.ts';
import { command, openTerminal, type Terminal } from '../../shared/node/command-line.ts';
import { writeDirectoryFiles } from '../../shared/node/directory-files.ts';
import { selectNodeEngine } from '../../shared/node/engines.ts';
import { bar, formatDelta, formatSeconds } from '../../shared/node/format.ts';
import type { WatchedStep } from '../../shared/training/early-stopping.ts';
import type { TaskMetrics } from '../../shared/training/task-metrics.ts';
import { parseSettings, type TrainFlags } from '../train/settings.ts';
import { removeState, statePath } from '../train/state.ts';
import { openTraining, type TrainSession, trainingReport } from '../train/train.ts';
import { untilInterrupted } from './interrupt.ts';

/** `tacit train`: one party, no federation, the same code: how private compares with plain. */
export function trainCommand(): Command {
  return command(
    'train',
    'train on your own data, privately or not, without anybody else',
    'tacit train --model models/tacit-mini --data mails.csv --labels ham,spam --epsilon 3 --out my-model',
  )
    .requiredOption('--model <model>', 'a Hugging Face directory or hf:org/name[@revision]')
    .requiredOption('--data <path>', 'CSV, JSON Lines, or a folder of texts')
    .requiredOption('--out <dir>', 'a new directory for the trained model')
    .option('--held-out <path>', 'records to measure on; they count as public')
    .option('--hold-out <part>', 'part of the data to measure on where there is no --held-out', '0.1')
    .option('--task <kind>', 'classification (two labels or more), multi-label, regression', 'classification')
    .option('--text <columns>', 'column(s) of the text, joined', 'text')
    .option('--label <column>', 'column of the label(s) or the number', 'label')
    .option('--labels <names>', 'the labels in order; by default those of the model or the data')
    .option('--label-values <pairs>', 'what values of the label column mean, e.g. 1=World,2=Sports')
    .option('--header <names>', 'columns of a CSV file without a header line')
    .option('--person <column>', 'whose record it is; with --epsilon the promise is then about persons')
    .option('--train <part>', 'head, all, layers:2,3 or lora:8[:alpha[:targets]]', 'head')
    .option('--head <kind>', 'pooler or mean; by default the model has its own')
    .option('--max-tokens <n>', 'word pieces of a text that are read', '128')
    .option('--epochs <n>', 'passes over the data', '3')
    .option('--batch-size <n>', 'records a step (with --epsilon: on average); more than fit are accumulated', '32')
    .option('--optimizer <name>', 'adamw, adam or sgd (momentum 0.9)', 'adamw')
    .option('--learning-rate <x>', 'highest rate; by default it depends on --train')
    .option('--schedule <kind>', 'linear or cosine decay to 0, or constant', 'linear')
    .option('--warmup <part>', 'part of the steps in which the rate rises from 0', '0.1')
    .option('--weight-decay <x>', 'decoupled for adamw, L2 for the others; biases and layer norms are spared', '0.01')
    .option('--gradient-norm <x>', "bound on a step's gradient (this is not the private clip)")
    .option('--dropout <rate>', "all dropout layers; by default the model's rates, none with --epsilon")
    .option('--early-stopping <n>', 'stop after so many evaluations without a better loss')
    .option('--every <steps>', 'steps between two evaluations; by default an epoch')
    .option('--epsilon <e>', 'privacy budget; without it training is plain')
    .option('--delta <d>', 'with --epsilon', '1e-5')
    .option('--clip <c>', "with --epsilon: bound on one record's (person's) gradient; see tacit model advise-clip", '1')
    .option('--seed <text>', 'repeat an experiment; with --epsilon the noise is then no secret')
    .option('--resume', 'go on where Ctrl-C or a crash ended the same command')
    .option('--json', 'one JSON object a line')
    .action((flags: TrainFlags) => untilInterrupted((signal) => train(flags, signal)));
}

async function train(flags: TrainFlags, signal: AbortSignal): Promise<void> {
  const settings = parseSettings(flags);
  const terminal = openTerminal(flags['json'] === true);
  if (existsSync(settings.out))
    throw new TacitError('FILE_EXISTS', 'the directory is there already', {
      where: settings.out,
      fix: 'Name a new one.',
    });
  const { engine } = await selectNodeEngine();
  const session = await openTraining(settings, engine);
  try {
    introduce(session, engine.name, terminal);
    const progress = createProgress(session, terminal);
    const steps = session.run(signal);
    for (;;) {
      const next = await steps.next();
      if (next.done !== true) {
        progress(next.value);
        continue;
      }
      if (next.value === undefined) {
        terminal.emit({ event: 'interrupted', state: statePath(settings.out) });
        terminal.say('stopped    the same command with --resume goes on from here');
        process.exitCode = 130;
        return;
      }
      const metrics = await session.evaluate();
      const files = session.files().set('training.json', trainingReport(session, next.value, metrics));
      await writeDirectoryFiles(settings.out, files);
      await removeState(settings.out);
      terminal.emit({
        event: 'trained',
        out: settings.out,
        bestStep: next.value.step,
        metrics,
        privacy: session.promise?.view,
      });
      terminal.say(`best       step ${next.value.step}: ${inWords(metrics)}`);
      terminal.say(`written    ${settings.out}`);
      return;
    }
  } finally {
    await session.dispose();
  }
}

function introduce(session: TrainSession, engine: string, terminal: Terminal): void {
  const { settings, report, trained, held, parameters, steps, labels, promise, seed } = session;
  terminal.emit({
    event: 'prepared',
    engine,
    data: report,
    trained,
    held,
    labels,
    parameters,
    steps,
    privacy: promise?.view,
    seed,
  });
  terminal.say(`data       ${trained} records to train on, ${held} held out; ${report.read - report.kept} dropped`);
  for (const { reason, count, examples } of report.dropped)
    terminal.say(
      `dropped    ${count} ${reason}, e.g. ${examples
        .slice(0, 3)
        .map((e) => `${e.source}:${e.line}`)
        .join(', ')}`,
    );
  terminal.say(`labels     ${labels.join(', ')}`);
  terminal.say(`trains     ${parameters} numbers in ${steps} steps on ${engine}${settings.resume ? ', resumed' : ''}`);
  if (promise === undefined) {
    terminal.say('privacy    none: this model may repeat what it was trained on');
    return;
  }
  const { epsilon, delta, unit, noiseMultiplier, repeatable } = promise.view;
  terminal.say(
    `privacy    eps ${epsilon}, delta ${formatDelta(delta)}, unit: ${unit}; noise multiplier ${noiseMultiplier.toFixed(3)}`,
  );
  if (repeatable)
    terminal.say('warning    a seed was given: whoever knows it can take the noise away; publish nothing of this run');
}

/** A bar with the time left where somebody watches; a line for every evaluation. */
function createProgress({ steps }: TrainSession, terminal: Terminal): (step: WatchedStep<TaskMetrics>) => void {
  let began: { at: number; step: number } | undefined;
  return (now) => {
    const { step, epoch, learningRate, examples, meanLoss, dropped, metrics } = now;
    began ??= { at: performance.now(), step };
    const each = step === began.step ? undefined : (performance.now() - began.at) / 1000 / (step - began.step);
    const etaSeconds = each === undefined ? undefined : each * (steps - step);
    terminal.emit({
      event: 'step',
      step,
      steps,
      epoch,
      learningRate,
      examples,
      loss: meanLoss,
      dropped: dropped.length,
      etaSeconds,
      metrics,
    });
    if (dropped.length > 0)
      terminal.say(`dropped    ${dropped.length} record(s) of step ${step}: loss or gradient not finite`);
    const left = etaSeconds === undefined ? '' : `   ${formatSeconds(etaSeconds)} left`;
    terminal.status(`${bar(step / steps)} step ${step}/${steps}   loss ${meanLoss.toFixed(4)}${left}`);
    if (metrics !== undefined) terminal.say(`[step ${step}/${steps}] ${inWords(metrics)}${left}`);
  };
}

function inWords(metrics: TaskMetrics): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${value.toFixed(4)}`)
    .join('   ');
}
