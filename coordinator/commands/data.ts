import { join } from 'node:path';
import type { Command } from 'commander';
import { utf8 } from '../../shared/core/bytes.ts';
import { TacitError } from '../../shared/core/errors.ts';
import { seededRng } from '../../shared/core/rng.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../shared/node/command-line.ts';
import { readDataFiles } from '../../shared/node/data-files.ts';
import { reportLines } from '../../shared/node/data-report.ts';
import { writeDirectoryFiles } from '../../shared/node/directory-files.ts';
import type { Plan } from '../../shared/protocol/plan.ts';
import { recordColumns } from '../../shared/protocol/plan-columns.ts';
import { holdOut } from '../../shared/text/hold-out.ts';
import type { TextRecord } from '../../shared/text/record.ts';
import { readPlanFile } from '../runs/plan-file.ts';

interface Options {
  readonly plan: string;
  readonly json?: boolean;
}

/** `tacit data check|split`: somebody's own files before a run, on their own machine. Nothing is sent. */
export function dataCommand(): Command {
  const group = command('data', 'your own texts before a run: what is read, and splits', 'tacit data check --help');
  for (const sub of [checkCommand(), splitCommand()]) group.addCommand(sub);
  return group;
}

function withPlan(sub: Command): Command {
  return sub
    .argument('<path>', 'CSV, JSON Lines, or a folder of texts')
    .requiredOption('--plan <file>', 'the plan whose columns and labels count')
    .option('--json', 'one JSON object');
}

function checkCommand(): Command {
  const example = 'tacit data check records.csv --plan plan.yaml';
  const about = 'what a participant would read of these files under a plan, and what it would drop and why';
  return withPlan(command('check', about, example)).action(async (path: string, options: Options) => {
    const { plan } = await readPlanFile(options.plan);
    const { report } = await readDataFiles(path, recordColumns(plan));
    const terminal = openTerminal(options.json === true);
    terminal.emit(report);
    for (const line of reportLines(report)) terminal.say(line);
    if (report.persons > 0) terminal.say(`persons    ${report.persons}: the units that are sampled and protected`);
  });
}

function splitCommand(): Command {
  const example = 'tacit data split records.csv --plan plan.yaml --out split';
  const about =
    'train.jsonl, validation.jsonl and test.jsonl: without duplicates; similar texts and one person’s stay on one side';
  return withPlan(command('split', about, example))
    .requiredOption('--out <dir>', 'a new directory')
    .option('--held-out <part>', 'part for validation and for test, each', '0.1')
    .option('--seed <text>', 'the same seed gives the same split', '1')
    .action(async (path: string, options: Options & { out: string; heldOut: string; seed: string }) => {
      const part = Number(options.heldOut);
      if (!(part > 0 && part < 0.5)) {
        throw new TacitError<CommandLineErrorCode>('USAGE', `"${options.heldOut}" is not a part between 0 and 0.5`, {
          where: '--held-out',
        });
      }
      const { plan } = await readPlanFile(options.plan);
      const { records, report } = await readDataFiles(path, recordColumns(plan));
      const { duplicates, conflicts, ...sets } = holdOut(records, part, seededRng(`data split ${options.seed}`));
      const files = Object.entries(sets).map(([name, set]): [string, Uint8Array] => [
        `${name}.jsonl`,
        jsonLines(set, plan),
      ]);
      await writeDirectoryFiles(options.out, new Map(files));
      const terminal = openTerminal(options.json === true);
      const counts = Object.entries(sets).map(([name, set]) => [name, set.length] as const);
      terminal.emit({ report, duplicates, conflicts, ...Object.fromEntries(counts), out: options.out });
      for (const line of reportLines(report)) terminal.say(line);
      terminal.say(
        `duplicates ${duplicates} left out, ${conflicts} of them under another label than the text they repeat`,
      );
      for (const [name, count] of counts)
        terminal.say(`${name.padEnd(10)} ${count} records: ${join(options.out, `${name}.jsonl`)}`);
    });
}

/** Readable again under the same plan: several text columns are one by now. */
function jsonLines(records: readonly TextRecord[], { task, privacy }: Plan): Uint8Array {
  const [first = '', ...others] = typeof task.text === 'string' ? [task.text] : task.text;
  const empty = Object.fromEntries(others.map((name) => [name, '']));
  // What is read as a label is written as it stands in the file: the mapping is applied again when this is read.
  const written = 'labelValues' in task ? Object.entries(task.labelValues ?? {}) : [];
  const raw = (label: string): string => written.find(([, value]) => value === label)?.[0] ?? label;
  const lines = records.map(({ text, label, person }) => {
    const whose = privacy.unit === 'person' && person !== undefined ? { [privacy.column]: person } : {};
    const target =
      task.kind === 'pretraining' ? {} : { [task.label]: task.kind === 'classification' ? raw(label) : label };
    return `${JSON.stringify({ [first]: text, ...empty, ...target, ...whose })}\n`;
  });
  return utf8(lines.join(''));
}
