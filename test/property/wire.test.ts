import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import type { z } from 'zod';
import { utf8 } from '../../shared/core/bytes.ts';
import { openCheckpoint } from '../../shared/ledger/checkpoint.ts';
import { parseVkey } from '../../shared/ledger/keys.ts';
import { parseNote } from '../../shared/ledger/note.ts';
import { parseProof } from '../../shared/ledger/proof.ts';
import { parseEntryBundle, parseTile, parseTilePath } from '../../shared/ledger/tiles.ts';
import { parseYaml } from '../../shared/node/documents.ts';
import { parsePolicy } from '../../shared/participant/policy.ts';
import { parseJoinCode } from '../../shared/protocol/join-code.ts';
import * as messages from '../../shared/protocol/messages.ts';
import { parsePlan } from '../../shared/protocol/plan.ts';
import { readSafetensors } from '../../shared/tensor/safetensors.ts';
import { anything, cases, mutated, onlyCoded, paths } from '../support/hostile.ts';

/** Every decoder of what comes from outside: a value or a coded error, whatever it is given. */
const schemas = Object.entries(messages).filter(([name]) => name.endsWith('Schema')) as [string, z.ZodType][];
const planText = readFileSync('plans/head.yaml', 'utf8');
const plan = parseYaml(planText, 'plan');
const tlog = JSON.parse(readFileSync('test/vectors/tlog.json', 'utf8')) as Record<string, unknown>;

/** Every string anywhere in the reference vectors of the ledger: notes, proofs, keys, hashes. */
const strings = (function collect(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(collect) : [];
})(tlog);

/** A text with a stretch cut out, doubled or overwritten. */
const damaged = fc
  .record({ text: fc.constantFrom(...strings), at: fc.nat(), length: fc.nat(40), put: fc.string({ maxLength: 20 }) })
  .map(({ text, at, length, put }) => {
    const from = at % (text.length + 1);
    return text.slice(0, from) + put + text.slice(from + length);
  });

describe('control messages', () => {
  test.each(schemas)('%s', (name, schema) => {
    fc.assert(
      fc.property(anything, (value) => {
        onlyCoded('MESSAGE_INVALID', () => messages.parseMessage(schema, value, name));
      }),
      { numRuns: cases(150) },
    );
  });
});

test('plans and policies', () => {
  fc.assert(
    fc.property(paths, anything, (path, value) => {
      onlyCoded('PLAN_', () => parsePlan(mutated(plan, path, value), 'plan'));
      onlyCoded('POLICY_', () => parsePolicy(value, 'policy'));
    }),
    { numRuns: cases(300) },
  );
});

test('documents', () => {
  fc.assert(
    fc.property(fc.nat(), fc.string({ maxLength: 30 }), (at, put) => {
      const from = at % planText.length;
      onlyCoded('', () => parseYaml(planText.slice(0, from) + put + planText.slice(from), 'plan'));
    }),
    { numRuns: cases(200) },
  );
});

test('the texts of the ledger: notes, checkpoints, proofs, keys, paths; and join codes', () => {
  fc.assert(
    fc.property(fc.oneof(damaged, fc.string({ maxLength: 200 }), fc.constantFrom(...strings)), (text) => {
      onlyCoded('', () => parseNote(text));
      onlyCoded('', () => openCheckpoint(text, { log: [] }));
      onlyCoded('', () => parseProof(text));
      onlyCoded('', () => parseVkey(text));
      onlyCoded('', () => parseTilePath(text));
      onlyCoded('JOIN_CODE_INVALID', () => parseJoinCode(text));
    }),
    { numRuns: cases(500) },
  );
});

test('tiles, entry bundles and safetensors', () => {
  const header = utf8('{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}');
  const file = new Uint8Array(8 + header.length + 16);
  file[0] = header.length;
  file.set(header, 8);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.record({ at: fc.nat(file.length - 1), value: fc.nat(255), cut: fc.nat(file.length) }).map((change) => {
      const copy = file.slice(0, change.cut === 0 ? file.length : change.cut);
      copy[change.at % Math.max(1, copy.length)] = change.value;
      return copy;
    }),
  );
  fc.assert(
    fc.property(bytes, (given) => {
      onlyCoded('', () => parseTile(given));
      onlyCoded('', () => parseEntryBundle(given));
      onlyCoded('', () => readSafetensors(given, 'file'));
    }),
    { numRuns: cases(500) },
  );
});
