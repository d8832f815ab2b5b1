import type { Command } from 'commander';
import { TacitError } from '../../shared/core/errors.ts';
import { command, openTerminal } from '../../shared/node/command-line.ts';
import { showFinding } from '../../shared/node/findings.ts';
import { configOf, withSettings } from './settings.ts';

/** `tacit doctor` */
export function doctorCommand(): Command {
  return withSettings(
    command('doctor', 'what this machine can do, what is missing and how to get it', 'tacit doctor'),
    ['host', 'port', 'store', 'dataDir'],
  )
    .option('--json', 'one finding a line')
    .action(async (options: Record<string, unknown>) => {
      const { config } = await configOf(options);
      const { examine } = await import('../doctor.ts');
      const terminal = openTerminal(options['json'] === true);
      let bad = 0;
      for await (const finding of examine(config)) {
        showFinding(finding, terminal);
        if (finding.state === 'bad') bad++;
      }
      if (bad > 0)
        throw new TacitError('DOCTOR_FOUND', `${bad} thing(s) keep Tacit from working here`, {
          fix: 'See the lines marked BAD.',
        });
    });
}
