import { createMemoryStore } from '../../shared/store/memory.ts';
import { storeConformance } from './store.ts';

storeConformance('memory', async () => {
  const store = createMemoryStore();
  return { open: async () => store };
});
