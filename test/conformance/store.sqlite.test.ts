import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { openSqliteStore } from '../../shared/node/store/sqlite.ts';
import { storeConformance } from './store.ts';

const dir = await mkdtemp(join(tmpdir(), 'tacit-sqlite-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

storeConformance('SQLite', async () => ({ open: () => openSqliteStore(dir) }));
