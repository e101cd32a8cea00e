/** Accounts as /admin/users shows them. What it takes is checked where the command line's is: auth/accounts. */
import { z } from 'zod';
import { role } from '../auth/accounts/account-fields';
import { REPOSITORY_ACTIONS } from '../oci/access';

export const user = z.object({
  username: z.string().meta({ example: 'ci' }),
  role,
  access: z
    .array(z.object({ repository: z.string(), actions: z.array(z.enum(REPOSITORY_ACTIONS)) }))
    .optional(),
  disabled: z.boolean(),
  expires: z.string().optional(),
  source: z.enum(['htpasswd', 'settings']).meta({
    description: 'settings: fixed by the setting ACCOUNTS, and not to be changed here',
  }),
});

export const users = z.object({ users: z.array(user) });
