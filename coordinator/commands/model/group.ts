import { createHash } from 'node:crypto';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import { TacitError } from '../../../shared/core/errors.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../../shared/node/command-line.ts';
import { onnxCpuEngine } from '../../../shared/node/engines.ts';
import { table } from '../../../shared/node/format.ts';
import type { ProtocolErrorCode } from '../../../shared/protocol/errors.ts';
import type { ModelView } from '../../../shared/protocol/views.ts';
import { predictLocally } from '../../models/local-model.ts';
import { readModelFiles } from '../../models/model-files.ts';
import type { Prediction } from '../../service.ts';
import { type RemoteOptions, remoteOf, withRemote } from '../remote.ts';
import { adviseClipCommand } from './advise-clip.ts';
import {
  type ConvertOptions,
  convert,
  importCommand,
  inspectCommand,
  isLocalModel,
  mergeCommand,
  write,
} from './directories.ts';
import { pruneCommand } from './prune.ts';

/** `tacit model list|export|predict` of a coordinator's models over HTTP; export, predict and the rest of directories. */
export function modelCommand(): Command {
  const group = command(
    'model',
    'models: published by a coordinator, in a directory, or on the Hugging Face hub',
    'tacit model list',
  );
  const directories = [inspectCommand(), importCommand(), mergeCommand(), pruneCommand(), adviseClipCommand()];
  for (const sub of [listCommand(), exportCommand(), predictCommand(), ...directories]) group.addCommand(sub);
  return group;
}

function listCommand(): Command {
  return withRemote(command('list', 'every published model', 'tacit model list')).action(
    async (options: RemoteOptions) => {
      const models = await remoteOf(options).get<readonly ModelView[]>('/api/v1/models');
      const terminal = openTerminal(options.json === true);
      for (const model of models) terminal.emit(model);
      const rows = models.map((m) => [
        m.id,
        m.run,
        String(m.round),
        m.accuracy?.toFixed(3) ?? '-',
        m.f1?.toFixed(3) ?? '-',
        `#${m.ledgerIndex}`,
        m.promoted ? 'current' : '',
      ]);
      for (const line of table([['id', 'run', 'round', 'accuracy', 'f1', 'ledger', ''], ...rows])) terminal.say(line);
    },
  );
}

function exportCommand(): Command {
  return withRemote(
    command(
      'export',
      'write a model for other programs; a published one is downloaded, every file checked against its hash',
      'tacit model export current --out model',
    ),
  )
    .argument('<model>', 'a directory, hf:org/name, or the id of a published model ("current")')
    .requiredOption('--out <dir>', 'a new directory')
    .option('--format <kind>', 'huggingface, onnx (for inference), sentence-transformers (mean head)', 'huggingface')
    .option('--dtype <type>', 'float32 or float16; huggingface only')
    .option('--max-shard-size <MB>', 'split larger weights; huggingface only')
    .action(async (id: string, options: RemoteOptions & ConvertOptions) => {
      const { format, dtype, maxShardSize } = options;
      const local = isLocalModel(id);
      const files = local ? await readModelFiles(id) : await publishedFiles(id, options);
      const asItIs = !local && format === 'huggingface' && dtype === undefined && maxShardSize === undefined;
      await write(options, asItIs ? files : convert(files, options, id));
    });
}

/** Every file of a published model, checked against its hash. @throws WEIGHTS_MISMATCH */
async function publishedFiles(id: string, options: RemoteOptions): Promise<Map<string, Uint8Array>> {
  const remote = remoteOf(options);
  const model = await remote.get<ModelView>(`/api/v1/models/${encodeURIComponent(id)}`);
  const files = new Map<string, Uint8Array>();
  for (const { name, sha256 } of model.files) {
    const path = name.split('/').map(encodeURIComponent).join('/');
    const bytes = await remote.bytes(`/api/v1/models/${encodeURIComponent(model.id)}/files/${path}`);
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) {
      throw new TacitError<ProtocolErrorCode>(
        'WEIGHTS_MISMATCH',
        'a downloaded file is not the one that was published',
        {
          where: name,
        },
      );
    }
    files.set(name, bytes);
  }
  return files;
}

const ARGUMENT_CHARS = 8_000;

function predictCommand(): Command {
  return withRemote(command('predict', 'ask a model', 'echo "You have won a prize" | tacit model predict current'))
    .argument('<model>', 'a directory, hf:org/name, or the id of a published model ("current")')
    .argument('[texts...]', 'texts; without any, one a line from standard input')
    .action(async (id: string, given: string[], options: RemoteOptions) => {
      // onnxruntime-node 1.30 crashes the process where its command line is longer than about 30 kB.
      if (given.join('').length > ARGUMENT_CHARS)
        throw new TacitError<CommandLineErrorCode>(
          'USAGE',
          `texts of more than ${ARGUMENT_CHARS} characters are no arguments`,
          {
            fix: 'Give them on standard input, one a line.',
          },
        );
      const empty = given.findIndex((text) => text.trim() === '');
      if (empty !== -1)
        throw new TacitError<CommandLineErrorCode>('USAGE', `text ${empty + 1} is empty`, { fix: 'Give it words.' });
      const texts =
        given.length > 0 ? given : (await readAll(process.stdin)).split('\n').filter((line) => line.trim() !== '');
      if (texts.length === 0)
        throw new TacitError<CommandLineErrorCode>('USAGE', 'there is no text to predict', {
          fix: 'Give texts, or lines on standard input.',
        });
      const predictions = isLocalModel(id)
        ? await predictLocally(id, texts, onnxCpuEngine())
        : await publishedPredictions(id, texts, options);
      const terminal = openTerminal(options.json === true);
      for (const [i, { label, scores, masks }] of predictions.entries()) {
        terminal.emit({ text: texts[i], label, scores, ...(masks === undefined ? {} : { masks }) });
        // Of several masks, the one that it is least sure of.
        const sure =
          masks === undefined ? (scores[label] ?? 0) : Math.min(...masks.map((m) => Math.max(...Object.values(m))));
        terminal.say(`${label.padEnd(12)} ${sure.toFixed(3)}  ${texts[i]?.slice(0, 100)}`);
      }
    });
}

async function publishedPredictions(
  id: string,
  texts: readonly string[],
  options: RemoteOptions,
): Promise<readonly Prediction[]> {
  const path = `/api/v1/models/${encodeURIComponent(id)}/predict`;
  const body = JSON.stringify({ texts });
  return (await remoteOf(options).ask<{ predictions: readonly Prediction[] }>(path, body)).predictions;
}
