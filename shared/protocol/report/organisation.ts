import { z } from 'zod';

const text = z.string().min(1).max(2000);
const contact = z.strictObject({ name: text, contact: text });

/**
 * What a controller has to say that no ledger can know: `organisation.yaml` for reports and the registry. Everything is
 * optional; what is missing is shown as missing, never made up.
 */
export const organisationSchema = z.strictObject({
  controller: contact.optional(),
  jointControllers: z.array(contact).max(100).optional(),
  representative: contact.optional(),
  dataProtectionOfficer: contact.optional(),
  dataSubjects: text.optional(),
  personalData: text.optional(),
  recipients: text.optional(),
  transfers: text.optional(),
  retention: text.optional(),
  securityMeasures: text.optional(),
  /** Why the processing is necessary and proportionate, for an impact assessment. */
  necessity: text.optional(),
  region: text.optional(),
  sector: z.enum(['Technology', 'Healthcare', 'Education', 'Government', 'Energy', 'Finance']).optional(),
  registryAuthors: z.array(text).min(1).max(20).optional(),
});
export type Organisation = z.infer<typeof organisationSchema>;
