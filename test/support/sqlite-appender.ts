// Child process of test/unit/store/sqlite-kill.test.ts: appends for ever and prints every acknowledged position.
import { writeSync } from 'node:fs';
import { openSqliteStore } from '../../shared/node/store/sqlite.ts';

const [dir, writer] = process.argv.slice(2) as [string, string];
const store = await openSqliteStore(dir);
const lane = async (stream: string): Promise<void> => {
  for (let seq = await store.head(stream); ; seq++) {
    const text = JSON.stringify({ writer, seq, padding: 'x'.repeat((seq * 37) % 500) });
    await store.append(stream, seq, { opId: `${writer}.${seq}`, text });
    const blob = seq % 16 === 0 ? await store.putBlob(Buffer.from(text.repeat(200))) : '';
    writeSync(1, `${stream} ${seq} ${text} ${blob}\n`);
  }
};
await Promise.all(['a', 'b', 'c', 'd'].map((s) => lane(`${writer}/${s}`)));
