import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expectLinear, fuzzed, shapes, textOf } from '../../test/support/fuzz';
import { changed, changes } from '../../test/support/hostile-requests';
import { freshFolder } from '../../test/support/lifecycle';
import { readSettings } from './read-settings';
import { parseRegistriesFile } from './registries-file';
import { SETTINGS } from './setting-table';
import { Faults, SettingsError, shownValue } from './settings-error';
import { visible, visibleLines } from './visible';

/** What a terminal obeys, or does not show. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const SECRET = 'hunter2hunter2';

function faultsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    readSettings(env);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.faults;
    throw error;
  }
}

function faultsIn(text: string): readonly string[] {
  const faults = new Faults();
  parseRegistriesFile(text, '/etc/tidegate.yaml', faults);
  try {
    faults.throwIfAny();
    return [];
  } catch (error) {
    return (error as SettingsError).faults;
  }
}

const odd = fc.oneof(
  fc.string({ unit: 'binary' }),
  shapes(
    '\u001b[2J',
    '\u009b',
    '\u202e',
    '\u2028',
    '\u200b',
    'http://',
    '@',
    '::',
    '127.0.0.1',
    'd',
    '**',
    '%',
  ).map((shape) => textOf(shape, 20)),
);

describe('settings', () => {
  const names = Object.entries(SETTINGS).flatMap(([name, setting]) => [
    name,
    ...('aliases' in setting
      ? (setting.aliases ?? []).map((alias: { name: string }) => alias.name)
      : []),
  ]);
  const plain = names.filter((name) => !/_(?:FILE|DIR)$/.test(name));

  it('of any text are taken, or refused in words that hide nothing', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...plain), odd, { maxKeys: 6 }), (env) => {
        for (const fault of faultsOf(env)) expect(fault).not.toMatch(UNSEEN);
      }),
      fuzzed<[NodeJS.ProcessEnv]>(150, [[{ PRESET: '\x7f' }], [{ NO_PROXY: '\u202e' }]]),
    );
  });

  const base64 = (text: string) => Buffer.from(text).toString('base64');

  it('of accounts name an account by its place, never by a name of its own', () => {
    const accounts = fc.array(
      fc.tuple(fc.constantFrom('\u009b2J', '\u202egnp', 'ann', 'é'), fc.constantFrom('a password')),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(accounts, fc.constantFrom('accounts', 'relay'), (logins, mode) => {
        const ACCOUNTS = logins.map((login) => base64(login.join(':'))).join(',');

        for (const fault of faultsOf({ ACCOUNTS, AUTH_MODE: mode }))
          expect(fault).not.toMatch(/gnp|2J|[\p{Cc}\p{Cf}]/u);
      }),
      fuzzed(50, [
        [
          [
            ['\u009b2J', 'a password'],
            ['\u009b2J', 'a password'],
          ],
          'relay',
        ],
      ]),
    );
  });

  it('from a file hide nothing of their own, and show nothing of it', () => {
    const file = join(freshFolder('fuzz'), 'secret');
    const secrets = Object.entries(SETTINGS)
      .filter(([, setting]) => 'secret' in setting && setting.secret)
      .map(([name]) => name);
    fc.assert(
      fc.property(fc.constantFrom(...secrets), odd, (name, text) => {
        writeFileSync(file, `${SECRET}${text}`);

        for (const fault of faultsOf({ [`${name}_FILE`]: file })) {
          expect(fault).not.toMatch(UNSEEN);
          expect(fault).not.toContain(SECRET);
        }
      }),
      fuzzed(60),
    );
  });

  it('of any text are read in time that grows with its length alone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...plain),
        shapes('http://', '@', '::', '127.0.0.1/8', 'd', '**', '/*', 'ns=', '=http://'),
        (name, shape) =>
          expectLinear((text) => faultsOf({ [name]: text }), shape, { length: 64_000, quick: 10 }),
      ),
      fuzzed(80),
    );
  });

  it('of many accounts are read in time that grows with their number alone', () => {
    const list = (characters: number) =>
      Array.from({ length: characters / 20 }, (_, at) => base64(`user${at}:p`)).join(',');
    expectLinear(
      (text) => faultsOf({ AUTH_MODE: 'relay', ACCOUNTS: list(text.length) }),
      { before: [], unit: ['a'], after: [] },
      { length: 200_000, quick: 60 },
    );
  });
});

describe('the config file', () => {
  const good = `registries:\n  - name: r.test:5000\n    url: http://r.test:5000\n    hosts: [r.example]\n    credentials: [{ username: robot, password: ${SECRET} }]\n    mirrors: [{ url: "http://m.test", tags: true }]\n`;

  it('with any change is read, or refused by its line, without a password or what a terminal would obey', () => {
    const unprintable = fc.constantFrom(
      '\u001b[2J',
      '\u009b',
      '\u202e',
      '\u2028',
      '\u007f',
      '"\\e[2J"',
      '"\\u202e"',
      '? ',
      '&a *a',
      '!!js ',
      '%',
      '- - ',
      '{',
      '|\n',
    );
    const change = fc.tuple(
      changes,
      fc.array(fc.tuple(fc.nat({ max: good.length }), unprintable), { maxLength: 2 }),
    );
    fc.assert(
      fc.property(change, ([list, pieces]) => {
        const text = pieces.reduce(
          (before, [at, piece]) => before.slice(0, at) + piece + before.slice(at),
          changed(good, list),
        );
        for (const fault of faultsIn(text)) {
          expect(fault).not.toMatch(UNSEEN);
          expect(fault).toMatch(/^tidegate\.yaml[: ]/);
          if (text.includes(SECRET)) expect(fault).not.toContain(SECRET);
        }
      }),
      fuzzed(300),
    );
  });

  // Of files that are none, the parser's own work may grow with the square of their length: their length is bounded.
  it('of many registries is read in time that grows with their number alone', () => {
    const list = (characters: number) =>
      Array.from(
        { length: characters / 60 },
        (_, at) => `  - name: r${at}.test:5000\n    url: http://r${at}.test:5000\n`,
      ).join('');
    expectLinear(
      (text) => faultsIn(`registries:\n${list(text.length)}`),
      { before: [], unit: ['a'], after: [] },
      { length: 48_000, quick: 50 },
    );
  });

  it.each(['- ', '? ', '-\t'])(
    'with hundreds of %j in a line is refused before it is parsed',
    (unit) => {
      expect(faultsIn(unit.repeat(200_000))).toEqual([
        'tidegate.yaml is nested too deeply; it cannot be what is meant',
      ]);
    },
  );

  it('that doubles its aliases again and again is refused', () => {
    const bomb = [
      'a: &a [x, x]',
      ...Array.from(
        { length: 40 },
        (_, at) =>
          `b${at}: &b${at} [*${at === 0 ? 'a' : `b${at - 1}`}, *${at === 0 ? 'a' : `b${at - 1}`}]`,
      ),
    ].join('\n');
    expect(faultsIn(bomb)).toHaveLength(1);
  });
});

it('a text of anybody’s is shown with all that is in it, and nothing that a terminal would obey', () => {
  fc.assert(
    fc.property(odd, (text) => {
      expect(visible(text)).not.toMatch(UNSEEN);
      expect(visibleLines(text).replaceAll('\n', '')).not.toMatch(UNSEEN);
      expect(visibleLines(text).split('\n')).toHaveLength(text.split('\n').length);
      expect(shownValue(text)).not.toMatch(UNSEEN);
      expect(JSON.parse(visible(JSON.stringify(text)))).toBe(text);
      expect(visible(text).length).toBeGreaterThanOrEqual(text.length);
    }),
    fuzzed(200, [['\u{e0041}'], ['a\nb'], ['\u001b[2J']]),
  );
});
