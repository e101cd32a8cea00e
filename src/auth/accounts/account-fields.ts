/** The form of an account's fields, wherever they come from: REST, the command line, accounts.json. */
import { z } from 'zod';
import {
  PASSWORD_RULE,
  passwordFault,
  REPOSITORY_GLOB,
  REPOSITORY_GLOB_RULE,
  USERNAME,
  USERNAME_RULE,
} from '../../config/account-grammar';
import { REPOSITORY_ACTIONS } from '../../oci/access';

const MAX_RULES = 1000;
const ACTIONS = REPOSITORY_ACTIONS.join(', ');

/** An object of these fields and no other. */
export function fields<S extends z.ZodRawShape>(shape: S) {
  const known = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `holds ${named(issue.keys)}, which is not known here; give ${known}`
        : give(`an object with ${known}`)(issue),
  });
}

/** What the client chose to call a field; bounded, and as JSON. */
function named(keys: readonly string[]): string {
  const shown = keys.slice(0, 3).map((key) => JSON.stringify(key.slice(0, 30)));
  return `${shown.join(', ')}${keys.length > shown.length ? ' and more' : ''}`;
}

/** A fault in our own words: zod's are for programmers. Never quotes the value, which may be a secret. */
function give(what: string) {
  return ({ input }: { readonly input?: unknown }) =>
    input === undefined ? `is missing; give ${what}` : `is not right; give ${what}`;
}

export const username = z
  .string({ error: give(USERNAME_RULE) })
  .regex(USERNAME, { error: give(USERNAME_RULE) })
  .meta({ example: 'ci' });

export const password = z
  .string({ error: give(PASSWORD_RULE) })
  .superRefine((text, context) => {
    const fault = passwordFault(text);
    if (fault) context.addIssue({ code: 'custom', message: `${fault}; give ${PASSWORD_RULE}` });
  })
  .meta({ description: PASSWORD_RULE, format: 'password' });

export const role = z.enum(['user', 'admin'], { error: give('user or admin') });

export const disabled = z.boolean({ error: give('true or false') });

const EXPIRES_RULE = 'a date and time with Z or an offset, such as 2027-01-31T12:00:00Z';

/** Gives the time in UTC, as `Date` writes it. */
export const expires = z.iso
  .datetime({ offset: true, error: give(EXPIRES_RULE) })
  .transform((text, context) => {
    const utc = new Date(text).toISOString();
    // An offset may carry a time out of the years that are written with four digits, and it could not be read again.
    if (/^\d{4}-/.test(utc)) return utc;
    context.addIssue({ code: 'custom', message: `is not right; give ${EXPIRES_RULE}` });
    return z.NEVER;
  })
  .meta({ description: 'From then on the account may not log in, and its tokens are void' });

const accessRule = fields({
  repository: z
    .string({ error: give(REPOSITORY_GLOB_RULE) })
    .regex(REPOSITORY_GLOB, { error: give(REPOSITORY_GLOB_RULE) }),
  actions: z
    .array(z.enum(REPOSITORY_ACTIONS, { error: give(`one of ${ACTIONS}`) }), {
      error: give(`a list of some of ${ACTIONS}`),
    })
    .min(1, { error: give(`at least one of ${ACTIONS}`) })
    .max(32, { error: give('each action once') })
    .transform((actions) => [...new Set(actions)]),
});

export const accessRules = z
  .array(accessRule, { error: give('a list of rules, each with repository and actions') })
  .max(MAX_RULES, { error: give(`at most ${MAX_RULES} rules`) })
  .meta({
    description:
      'What the account may do where. Without a list an ordinary user may pull everything; an empty list allows ' +
      'nothing. * stands for anything within a path segment, ** across segments; a pattern without a registry speaks ' +
      'of the default one.',
    example: [{ repository: 'team/**', actions: ['pull', 'push'] }],
  });
