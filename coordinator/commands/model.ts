import { createHash } from 'node:crypto';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import { TacitError } from '../../shared/core/errors.ts';
import { type CommandLineErrorCode, command, openTerminal } from '../../shared/node/command-line.ts';
import { writeDirectoryFiles } from '../../shared/node/directory-files.ts';
import { formatBytes, table } from '../../shared/node/format.ts';
import type { ProtocolErrorCode } from '../../shared/protocol/errors.ts';
import type { ModelView } from '../../shared/protocol/views.ts';
import type { Prediction } from '../service.ts';
import { type RemoteOptions, remoteOf, withRemote } from './remote.ts';

/** `tacit model list|export|predict`, over HTTP from anywhere. */
export function modelCommand(): Command {
  const group = command('model', 'published models of a coordinator', 'tacit model list');
  for (const sub of [listCommand(), exportCommand(), predictCommand()]) group.addCommand(sub);
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
      'download a Hugging Face directory, every file checked against its hash',
      'tacit model export current --out model',
    ),
  )
    .argument('<model>', 'its id, or "current"')
    .requiredOption('--out <dir>', 'a new directory')
    .action(async (id: string, options: RemoteOptions & { out: string }) => {
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
            { where: name },
          );
        }
        files.set(name, bytes);
      }
      await writeDirectoryFiles(options.out, files);
      const terminal = openTerminal(options.json === true);
      const sizeBytes = [...files.values()].reduce((n, b) => n + b.length, 0);
      terminal.emit({ exported: options.out, model: model.id, files: files.size, sizeBytes });
      terminal.say(`${files.size} files, ${formatBytes(sizeBytes)}: ${options.out}`);
    });
}

function predictCommand(): Command {
  return withRemote(
    command('predict', 'ask a published model', 'echo "You have won a prize" | tacit model predict current'),
  )
    .argument('<model>', 'its id, or "current"')
    .argument('[texts...]', 'texts; without any, one a line from standard input')
    .action(async (id: string, given: string[], options: RemoteOptions) => {
      const texts =
        given.length > 0 ? given : (await readAll(process.stdin)).split('\n').filter((line) => line.trim() !== '');
      if (texts.length === 0)
        throw new TacitError<CommandLineErrorCode>('USAGE', 'there is no text to predict', {
          fix: 'Give texts, or lines on standard input.',
        });
      const path = `/api/v1/models/${encodeURIComponent(id)}/predict`;
      const { predictions } = await remoteOf(options).ask<{ predictions: readonly Prediction[] }>(
        path,
        JSON.stringify({ texts }),
      );
      const terminal = openTerminal(options.json === true);
      for (const [i, { label, scores }] of predictions.entries()) {
        terminal.emit({ text: texts[i], label, scores });
        terminal.say(`${label.padEnd(12)} ${(scores[label] ?? 0).toFixed(3)}  ${texts[i]?.slice(0, 100)}`);
      }
    });
}
