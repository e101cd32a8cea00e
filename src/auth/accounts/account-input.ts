/** What may be asked of an account, checked: every fault of an input in one refusal. */
import { z } from 'zod';
import { OciError } from '../../oci/oci-error';
import { accessRules, role } from './access-rule';
import { passwordFault } from './password-hasher';

const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/;

const username = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/,
    'a letter or digit, then up to 63 letters, digits or . _ @ + -',
  );
const password = z.string().superRefine((text, context) => {
  const fault = passwordFault(text);
  if (fault) context.addIssue({ code: 'custom', message: fault });
});
const expires = z
  .string()
  .refine(
    (text) => ISO.test(text) && !Number.isNaN(Date.parse(text)),
    'a date such as 2027-01-31 or 2027-01-31T12:00:00Z',
  )
  .transform((text) => new Date(text).toISOString());

const newAccount = z.strictObject({
  username,
  password,
  role: role.default('user'),
  access: accessRules.optional(),
  disabled: z.boolean().default(false),
  expires: expires.optional(),
});

const accountChange = z.strictObject({
  password: password.optional(),
  role: role.optional(),
  access: accessRules.nullable().optional(),
  disabled: z.boolean().optional(),
  expires: expires.nullable().optional(),
});

/** An account to be made. `expires` is ISO 8601, a date alone meaning its first moment in UTC. */
export type NewAccount = z.input<typeof newAccount>;
/** What changes; `null` takes the list or the date away. */
export type AccountChange = z.input<typeof accountChange>;
export type CheckedNewAccount = z.output<typeof newAccount>;
export type CheckedChange = z.output<typeof accountChange>;

/** Throws BODY_INVALID with all faults. */
export function checkNewAccount(input: NewAccount): CheckedNewAccount {
  return check(newAccount, input);
}

/** Throws BODY_INVALID with all faults. */
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
