/** Accounts as /admin/users takes and shows them. */
import { z } from 'zod';
import { accessRules, role } from '../auth/accounts/access-rule';
import type { Account } from '../auth/accounts/account';
import { passwordFault } from '../auth/accounts/password-hasher';
import { REPOSITORY_ACTIONS } from '../oci/access';

const username = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/,
    'a letter or digit, then at most 63 letters, digits and . _ @ + -',
  )
  .meta({ example: 'ci' });

const password = z
  .string()
  .superRefine((text, context) => {
    const fault = passwordFault(text);
    if (fault) context.addIssue({ code: 'custom', message: fault });
  })
  .meta({ description: '1 to 72 bytes in UTF-8, without NUL', format: 'password' });

const access = accessRules.meta({
  description:
    'What the account may do where. Without a list an ordinary user may pull everything; an empty list allows nothing. ' +
    '* stands for anything within a path segment, ** across segments; a pattern without a registry speaks of the default one.',
  example: [{ repository: 'team/**', actions: ['pull', 'push'] }],
});

const expires = z.iso
  .datetime({ offset: true, message: 'a date and time such as 2027-01-31T12:00:00Z' })
  .meta({ description: 'From then on the account may not log in, and its tokens are void' });

export const newUser = z.strictObject({
  username,
  password,
  role: role.optional().meta({ description: 'user unless it says otherwise' }),
  access: access.optional(),
  disabled: z.boolean().optional(),
  expires: expires.nullable().optional(),
});
export type NewUser = z.output<typeof newUser>;

export const userChange = z
  .strictObject({
    password: password.optional(),
    role: role.optional(),
    access: access.nullable().optional(),
    disabled: z.boolean().optional(),
    expires: expires.nullable().optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'name at least one field to change')
  .meta({ description: 'What is left out stays; null takes the list or the date away' });
export type UserChange = z.output<typeof userChange>;

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

/** What is shown of an account: chosen field by field, so that nothing of its hash can follow. */
export function shown({
  username: name,
  role: held,
  access: rules,
  disabled,
  expires: until,
  source,
}: Account) {
  return { username: name, role: held, access: rules, disabled, expires: until, source };
}
