/** The form of an account's fields, wherever they come from: REST, the command line, accounts.json. */
import { z } from 'zod';
import { REPOSITORY_ACTIONS } from '../../oci/access';

export const MAX_RULES = 1000;

export const accessRule = z.strictObject({
  repository: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[a-z0-9._/*:-]+$/, 'a glob of a-z 0-9 . _ / * : - such as team/**'),
  actions: z
    .array(z.enum(REPOSITORY_ACTIONS))
    .min(1)
    .max(32)
    .transform((actions) => [...new Set(actions)]),
});

export const accessRules = z.array(accessRule).max(MAX_RULES);

export const role = z.enum(['user', 'admin']);
