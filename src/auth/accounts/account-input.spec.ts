import { checkChange, checkNewAccount, checkUsername } from './account-input';
import type { AccountChange, NewAccount } from './account-input';
import { PASSWORD_RULE, REPOSITORY_GLOB_RULE, USERNAME_RULE } from '../../config/account-grammar';

const ANN = { username: 'ann', password: 'correct horse' };
const KNOWN = 'username, password, role, access, disabled, expires';
const ACTIONS = 'pull, push, delete';
const EXPIRES = 'a date and time with Z or an offset, such as 2027-01-31T12:00:00Z';

/** What is told of an input that is none; undefined where it is taken. */
function faultOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: 'BODY_INVALID' });
    return (error as Error).message;
  }
}

const added = (input: unknown) => faultOf(() => checkNewAccount(input as NewAccount));
const changed = (input: unknown) => faultOf(() => checkChange(input as AccountChange));
const ruled = (...access: unknown[]) => added({ ...ANN, access });

describe('a new account', () => {
  it('is an ordinary one that may log in, unless more is said', () => {
    expect(checkNewAccount(ANN)).toEqual({ ...ANN, role: 'user', disabled: false });
  });

  it('has its time in UTC, each action once, and no time for null', () => {
    const rule = { repository: 'team/**', actions: ['pull', 'push', 'pull'] as const };

    const account = checkNewAccount({
      ...ANN,
      role: 'admin',
      access: [{ ...rule, actions: [...rule.actions] }],
      disabled: true,
      expires: '2027-01-31T12:00:00+02:00',
    });

    expect(account).toEqual({
      ...ANN,
      role: 'admin',
      access: [{ repository: 'team/**', actions: ['pull', 'push'] }],
      disabled: true,
      expires: '2027-01-31T10:00:00.000Z',
    });
    expect(checkNewAccount({ ...ANN, expires: null })).not.toHaveProperty('expires', null);
  });

  it.each<[string, unknown, string]>([
    ['no object', [], `is not right; give an object with ${KNOWN}`],
    ['nothing', undefined, `is missing; give an object with ${KNOWN}`],
    ['no name', { password: ANN.password }, `username: is missing; give ${USERNAME_RULE}`],
    [
      'a name that is none',
      { ...ANN, username: 'a:b' },
      `username: is not right; give ${USERNAME_RULE}`,
    ],
    ['a number as name', { ...ANN, username: 1 }, `username: is not right; give ${USERNAME_RULE}`],
    ['no password', { username: 'ann' }, `password: is missing; give ${PASSWORD_RULE}`],
    ['another role', { ...ANN, role: 'root' }, 'role: is not right; give user or admin'],
    [
      'a word for a truth',
      { ...ANN, disabled: 'no' },
      'disabled: is not right; give true or false',
    ],
    ['a day alone', { ...ANN, expires: '2027-01-31' }, `expires: is not right; give ${EXPIRES}`],
    [
      'a year of five digits in UTC',
      { ...ANN, expires: '9999-12-31T23:59:59-01:00' },
      `expires: is not right; give ${EXPIRES}`,
    ],
    [
      'a field that nobody knows',
      { ...ANN, rôle: 'admin' },
      `holds "rôle", which is not known here; give ${KNOWN}`,
    ],
    [
      'three of them',
      { ...ANN, a: 1, b: 2, c: 3 },
      `holds "a", "b", "c", which is not known here; give ${KNOWN}`,
    ],
    [
      'many, and long ones',
      { ...ANN, ['x'.repeat(31)]: 1, b: 2, c: 3, d: 4 },
      `holds "${'x'.repeat(30)}", "b", "c" and more, which is not known here; give ${KNOWN}`,
    ],
    [
      'several faults',
      { ...ANN, role: 'root', disabled: 1 },
      'role: is not right; give user or admin; disabled: is not right; give true or false',
    ],
  ])('is refused for %s, with what to give', (_what, input, fault) => {
    expect(added(input)).toBe(fault);
  });

  it('is refused for a password that cannot be, and does not show it', () => {
    const fault = added({ ...ANN, password: 'x'.repeat(73) });

    expect(fault).toMatch(/^password: .+; give .+$/);
    expect(fault).toContain(`; give ${PASSWORD_RULE}`);
    expect(fault).not.toContain('xxx');
  });
});

describe('rules', () => {
  const actions = ['pull'];

  it.each<[string, unknown[], string]>([
    [
      'no repository',
      [{ actions }],
      `access.0.repository: is missing; give ${REPOSITORY_GLOB_RULE}`,
    ],
    [
      'a repository that is none',
      [
        { repository: 'a/*', actions },
        { repository: 'A B', actions },
      ],
      `access.1.repository: is not right; give ${REPOSITORY_GLOB_RULE}`,
    ],
    [
      'no action',
      [{ repository: 'a', actions: [] }],
      `access.0.actions: is not right; give at least one of ${ACTIONS}`,
    ],
    [
      'no list',
      [{ repository: 'a', actions: 'pull' }],
      `access.0.actions: is not right; give a list of some of ${ACTIONS}`,
    ],
    [
      'another action',
      [{ repository: 'a', actions: ['pull', '*'] }],
      `access.0.actions.1: is not right; give one of ${ACTIONS}`,
    ],
    [
      'too many actions',
      [{ repository: 'a', actions: Array(33).fill('pull') }],
      'access.0.actions: is not right; give each action once',
    ],
    ['no rule', [1], 'access.0: is not right; give an object with repository, actions'],
  ])('are refused for %s', (_what, access, fault) => {
    expect(ruled(...access)).toBe(fault);
  });

  it('are a thousand at most, and in a list', () => {
    const rule = { repository: 'a', actions };

    expect(ruled(...Array<unknown>(1000).fill(rule))).toBeUndefined();
    expect(ruled(...Array<unknown>(1001).fill(rule))).toBe(
      'access: is not right; give at most 1000 rules',
    );
    expect(added({ ...ANN, access: rule })).toBe(
      'access: is not right; give a list of rules, each with repository and actions',
    );
  });
});

describe('a change', () => {
  it('keeps null apart from what is left out: it takes the list or the date away', () => {
    expect(checkChange({ access: null, expires: null })).toEqual({ access: null, expires: null });
    expect(checkChange({ disabled: false })).toEqual({ disabled: false });
  });

  it.each<[unknown, string]>([
    [{}, 'changes nothing; give at least one of password, role, access, disabled, expires'],
    [
      { username: 'bob', role: 'user' },
      'holds "username", which is not known here; give password, role, access, disabled, expires',
    ],
    [{ role: null }, 'role: is not right; give user or admin'],
  ])('%j is refused', (input, fault) => {
    expect(changed(input)).toBe(fault);
  });
});

it('a name alone is checked alike', () => {
  expect(faultOf(() => checkUsername('ann'))).toBeUndefined();
  expect(faultOf(() => checkUsername('-a'))).toBe(`username: is not right; give ${USERNAME_RULE}`);
});
