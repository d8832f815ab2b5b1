import type { Command } from 'commander';
import { command, openTerminal, type Terminal } from '../../shared/node/command-line.ts';
import { readTextFile } from '../../shared/node/documents.ts';
import { formatDelta, table } from '../../shared/node/format.ts';
import type { RunView } from '../../shared/protocol/views.ts';
import { readPlanFile } from '../runs/plan-file.ts';
import { type RemoteOptions, remoteOf, withRemote } from './remote.ts';

/** Both files together stay below what the coordinator takes. */
const HELD_OUT_BYTES = 24 << 20;

/** `tacit run create|list|show|invite|stop`, over HTTP from anywhere. */
export function runCommands(): Command {
  const example = 'tacit run create plans/head.yaml --validation validation.jsonl --test test.jsonl';
  const create = withRemote(command('create', 'commit a plan: sigma is computed, the budget reserved', example))
    .argument('<plan>', 'plan file, YAML or JSON')
    .requiredOption('--validation <file>', 'JSON Lines with which the best round is chosen')
    .requiredOption('--test <file>', 'JSON Lines that are reported at the end, and never chosen on')
    .action(async (file: string, options: RemoteOptions & { validation: string; test: string }) => {
      const { text: plan } = await readPlanFile(file);
      const [validation, test] = await Promise.all(
        [options.validation, options.test].map((f) => readTextFile(f, HELD_OUT_BYTES)),
      );
      const body = JSON.stringify({ plan, validation, test });
      show(
        await remoteOf(options).post<RunView>('/api/v1/runs', body, 'application/json'),
        openTerminal(options.json === true),
      );
    });
  const list = withRemote(command('list', 'all runs', 'tacit run list')).action(async (options: RemoteOptions) => {
    const runs = await remoteOf(options).get<readonly RunView[]>('/api/v1/runs');
    const terminal = openTerminal(options.json === true);
    for (const run of runs) terminal.emit(run);
    const rows = runs.map((r) => [
      r.id,
      r.name,
      r.state,
      `${r.round}/${r.rounds}`,
      String(r.participants.filter((p) => p.connected).length),
    ]);
    for (const line of table([['id', 'name', 'state', 'round', 'connected'], ...rows])) terminal.say(line);
  });
  const one = withRemote(command('show', 'one run', 'tacit run show RUN'))
    .argument('<run>', 'its id')
    .action(async (id: string, options: RemoteOptions) => {
      show(
        await remoteOf(options).get<RunView>(`/api/v1/runs/${encodeURIComponent(id)}`),
        openTerminal(options.json === true),
      );
    });
  const invite = withRemote(command('invite', 'make a join link', 'tacit run invite RUN --organisation "North clinic"'))
    .argument('<run>', 'its id')
    .option('--organisation <name>', 'whose seat it is; otherwise the participant says')
    .option('--replaces <client>', 'a client that lost its key: the key is ended, and its seat is the invitation’s')
    .option('--reason <text>', 'with --replaces: why; it becomes part of the ledger', 'the key was lost')
    .option('--uses <n>', 'how many may join with it', '1')
    .option('--hours <n>', 'how long it is valid', '24')
    .action(async (id: string, options: RemoteOptions & InviteOptions) => {
      const { replaces, reason } = options;
      const body = {
        ...(replaces === undefined ? {} : { replaces: { clientId: replaces, reason } }),
        uses: Number(options.uses),
        validHours: Number(options.hours),
        ...(options.organisation === undefined ? {} : { organisation: options.organisation }),
      };
      const path = `/api/v1/runs/${encodeURIComponent(id)}/invitations`;
      const invitation = await remoteOf(options).post<{ code: string; expiresAt: string }>(
        path,
        JSON.stringify(body),
        'application/json',
      );
      const terminal = openTerminal(options.json === true);
      terminal.emit(invitation);
      terminal.say(invitation.code);
    });
  const stop = withRemote(
    command('stop', 'end a run; what was released stays charged', 'tacit run stop RUN --reason "wrong labels"'),
  )
    .argument('<run>', 'its id')
    .option('--reason <text>', 'goes into the ledger', 'stopped by the operator')
    .action(async (id: string, options: RemoteOptions & { reason: string }) => {
      const path = `/api/v1/runs/${encodeURIComponent(id)}/stop`;
      const run = await remoteOf(options).post<RunView>(
        path,
        JSON.stringify({ reason: options.reason }),
        'application/json',
      );
      show(run, openTerminal(options.json === true));
    });
  const group = command('run', 'runs of a coordinator', example);
  for (const sub of [create, list, one, invite, stop]) group.addCommand(sub);
  return group;
}

interface InviteOptions {
  readonly organisation?: string;
  readonly replaces?: string;
  readonly reason: string;
  readonly uses: string;
  readonly hours: string;
}

function show(run: RunView, terminal: Terminal): void {
  terminal.emit(run);
  terminal.say(`run      ${run.id} (${run.name}), ${run.state}${run.reason === null ? '' : `: ${run.reason}`}`);
  terminal.say(`purpose  ${run.purpose}`);
  terminal.say(`round    ${run.round} of ${run.rounds}${run.phase === null ? '' : `, ${run.phase}`}`);
  for (const s of run.stages) {
    terminal.say(
      `stage ${s.index + 1}  ${s.algorithm}, ${s.train}: ${s.roundsDone} of ${s.rounds} rounds, q ${s.samplingProbability}, noise multiplier ${s.noiseMultiplier.toFixed(3)}, clip ${s.l2Clip}`,
    );
  }
  for (const g of run.guarantees)
    terminal.say(
      `promise  eps ${g.epsilon.toFixed(3)}, delta ${formatDelta(g.delta)}, unit ${g.unit}, against ${g.adversary}: ${g.odds}`,
    );
  for (const p of run.participants)
    terminal.say(
      `client   ${p.organisation} (${p.clientId}): ${p.state}, ${p.connected ? 'connected' : 'not connected'}, ${p.records === null ? '' : `${p.records} records, `}${p.engine}`,
    );
}
