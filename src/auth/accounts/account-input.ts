/** What may be asked of an account, checked: every fault of an input in one refusal. */
import { z } from 'zod';
import { OciError } from '../../oci/oci-error';
import { accessRules, disabled, expires, fields, password, role, username } from './account-fields';

export const newAccount = fields({
  username,
  password,
  role: role.default('user'),
  access: accessRules.optional(),
  disabled: disabled.default(false),
  expires: expires.nullish().transform((date) => date ?? undefined),
});

const changeable = {
  password: password.optional(),
  role: role.optional(),
  access: accessRules.nullable().optional(),
  disabled: disabled.optional(),
  expires: expires.nullable().optional(),
};

export const accountChange = fields(changeable)
  .refine((change) => Object.keys(change).length > 0, {
    error: `changes nothing; give at least one of ${Object.keys(changeable).join(', ')}`,
  })
  .meta({ description: 'What is left out stays; null takes the list or the date away' });

/** An account to be made. */
export type NewAccount = z.input<typeof newAccount>;
/** What changes; `null` takes the list or the date away. */
export type AccountChange = z.input<typeof accountChange>;
export type CheckedNewAccount = z.output<typeof newAccount>;
export type CheckedChange = z.output<typeof accountChange>;

/** @throws OciError BODY_INVALID with all faults. */
export function checkNewAccount(input: NewAccount): CheckedNewAccount {
  return check(newAccount, input);
}

/** @throws OciError BODY_INVALID. */
export function checkUsername(input: string): void {
  check(fields({ username }), { username: input });
}

/** @throws OciError BODY_INVALID with all faults. */
export function checkChange(input: AccountChange): CheckedChange {
  return check(accountChange, input);
}

function check<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) =>
    path.length ? `${path.join('.')}: ${message}` : message,
  );
  throw new OciError('BODY_INVALID', { message: faults.join('; ') });
}
