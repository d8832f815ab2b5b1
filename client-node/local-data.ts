import type { Terminal } from '../shared/node/command-line.ts';
import { readDataFiles } from '../shared/node/data-files.ts';
import type { ParticipantTransport } from '../shared/participant/transport.ts';
import type { Welcome } from '../shared/protocol/messages.ts';
import type { Plan } from '../shared/protocol/plan.ts';
import type { TextRecord } from '../shared/text/records.ts';
import type { DataReport } from '../shared/text/report.ts';

/**
 * The site's own records. Which columns and labels count is known only when the coordinator has named its plan, so they are read
 * between the welcome and the consent; what cannot be read ends the session before anything was agreed to.
 */
export class LocalData {
  readonly #path: string;
  readonly #terminal: Terminal;
  #records: readonly TextRecord[] = [];

  constructor(path: string, terminal: Terminal) {
    this.#path = path;
    this.#terminal = terminal;
  }

  get records(): readonly TextRecord[] {
    return this.#records;
  }

  /** The same wire, on which every welcome waits until the data is read. */
  wire(transport: ParticipantTransport): ParticipantTransport {
    return {
      ...transport,
      request: async (name, payload) => {
        const answer = await transport.request(name, payload);
        if (name === 'hello') await this.#read((answer as Welcome).terms.plan);
        return answer;
      },
    };
  }

  /** @throws DATA_UNREADABLE, DATA_COLUMNS, DATA_EMPTY, DATA_LABELS, … */
  async #read({ task }: Plan): Promise<void> {
    if (this.#records.length > 0) return;
    const { records, report } = await readDataFiles(this.#path, {
      text: task.text,
      label: task.label,
      labels: task.labels,
    });
    this.#records = records;
    this.#terminal.emit({ event: 'data', report });
    for (const line of reportLines(report)) this.#terminal.say(line);
  }
}

function reportLines({ read, kept, dropped, labels, lengths }: DataReport): string[] {
  const shares = Object.entries(labels).map(([label, count]) => `${label} ${count}`);
  return [
    `data       ${kept} of ${read} records kept (${shares.join(', ')}), ${lengths.median} characters in the middle, at most ${lengths.max}`,
    ...dropped.map(({ reason, count, examples }) => {
      const places = examples.slice(0, 3).map((e) => `${e.source}:${e.line}`);
      return `dropped    ${count} ${reason}, e.g. ${places.join(', ')}`;
    }),
  ];
}
