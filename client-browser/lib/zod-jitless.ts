import { z } from 'zod';

// The pages' policy forbids eval, which zod tries for speed when a schema is made. Imported before anything with schemas.
z.config({ jitless: true });
