import { z } from 'zod';
import type { Terms } from '../../shared/protocol/terms.ts';
import type { EvaluationView, RoundView } from '../../shared/protocol/views.ts';
import { holding } from '../../shared/store/log.ts';
import type { RunEvent } from './run-log.ts';

const text = z.string();
const whole = z.number().int().min(0);
const texts = z.array(text);
const pointer = z.object({ iterate: text, candidate: text, optimizer: text });
const reserved = z.object({ reservation: text, index: whole });

/** The plan was parsed before it became an event and its hash is in the ledger, so its parts are not parsed again here. */
const terms = holding<Terms>({
  plan: z.looseObject({
    stages: z.array(z.looseObject({ rounds: whole })).min(1),
    privacy: z.looseObject({ scope: text }),
    clients: z.looseObject({}),
  }),
  planHash: text,
  model: z.array(z.object({ name: text, sha256: text, sizeBytes: whole })),
  stages: z.array(z.looseObject({ index: whole, dimension: whole, scale: z.number(), localSigma: z.number() })).min(1),
  guarantees: z.array(z.looseObject({ epsilon: z.number(), adversary: text })),
});

const summary = holding<RoundView>({
  round: whole,
  stage: whole,
  attempt: whole,
  phase: text,
  funnel: z.looseObject({ survived: whole }),
  ledgerIndex: whole.nullable(),
});

/** An event of stream `run/<id>`, as it is read back. */
export const runEvent: z.ZodType<RunEvent> = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('created'),
    id: text,
    at: text,
    terms,
    ledgerIndex: whole,
    reserved: reserved.nullable(),
    heldOut: z.object({ validation: text, test: text }),
  }),
  z.object({
    type: z.literal('consented'),
    at: text,
    clientId: text,
    publicKey: text,
    organisation: text,
    records: whole.nullable(),
    units: whole,
    engine: text,
    ledgerIndex: whole,
  }),
  z.object({ type: z.literal('rekeyed'), at: text, clientId: text, publicKey: text }),
  z.object({ type: z.literal('refused'), at: text, clientId: text, organisation: text, code: text, reason: text }),
  z.object({
    type: z.literal('stageStarted'),
    stage: whole,
    at: text,
    overlays: texts,
    carried: texts,
    model: pointer,
  }),
  z.object({
    type: z.literal('roundStarted'),
    at: text,
    round: whole,
    stage: whole,
    attempt: whole,
    cohort: texts,
    rosterHash: text,
  }),
  z.object({ type: z.literal('roundAborted'), at: text, summary, counted: z.boolean() }),
  z.object({ type: z.literal('released'), at: text, summary, model: pointer }),
  z.object({
    type: z.literal('evaluated'),
    evaluation: holding<EvaluationView>({ round: whole, stage: whole, loss: z.number() }),
    candidate: text,
  }),
  z.object({ type: z.literal('finished'), at: text, model: text }),
  z.object({ type: z.literal('stopped'), at: text, reason: text }),
  z.object({ type: z.literal('failed'), at: text, reason: text }),
]);
