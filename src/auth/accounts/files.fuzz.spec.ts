import fc from 'fast-check';
import { expectLinear, fuzzed, shapes, textOf } from '../../../test/support/fuzz';
import { changed, changes } from '../../../test/support/hostile-requests';
import {
  formatMetadata,
  MetadataFault,
  NO_METADATA,
  parseMetadata,
  withoutRecord,
  withRecord,
  type AccountRecord,
} from './account-metadata';
import { HtpasswdFault, HtpasswdFile } from './htpasswd-file';

const HASH = `$2b$10$${'a'.repeat(53)}`;

/** What a fault says, if there is one. */
function faultOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof HtpasswdFault || error instanceof MetadataFault) return error.message;
    throw error;
  }
}

const usernames = fc.oneof(
  fc.constantFrom('ann', '__proto__', 'constructor', 'a b', 'é', '\u202e'),
  fc.string({ unit: 'binary', minLength: 1 }),
);
const records: fc.Arbitrary<AccountRecord> = fc.record(
  {
    role: fc.constantFrom('user', 'admin'),
    disabled: fc.boolean(),
    epoch: fc.nat(),
    fingerprints: fc.array(fc.string(), { minLength: 1, maxLength: 2 }),
    access: fc.array(
      fc.record({ repository: fc.constantFrom('**', 'team/*'), actions: fc.constant(['pull']) }),
    ) as fc.Arbitrary<NonNullable<AccountRecord['access']>>,
    expires: fc
      .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
      .map((date) => date.toISOString()),
    suspended: fc.constant(true),
  },
  { requiredKeys: ['role', 'disabled', 'epoch', 'fingerprints'] },
);

describe('accounts.json', () => {
  const metadata = fc
    .array(fc.tuple(usernames, records, fc.boolean()), { maxLength: 6 })
    .map((entries) =>
      entries.reduce(
        (before, [username, record, gone]) =>
          gone
            ? withoutRecord(before, username, record.epoch)
            : withRecord(before, username, record),
        NO_METADATA,
      ),
    );

  it('is read as it was written, whatever the accounts are called', () => {
    fc.assert(
      fc.property(metadata, (written) => {
        const read = parseMetadata(formatMetadata(written));

        expect([...read.records]).toEqual([...written.records]);
        expect([...read.removed]).toEqual([...written.removed]);
        expect(read.floor).toBe(written.floor);
      }),
      fuzzed(100),
    );
  });

  it('that is damaged is a fault of the file, told without what a terminal would obey', () => {
    fc.assert(
      fc.property(metadata, changes, (written, list) => {
        const fault = faultOf(() => parseMetadata(changed(formatMetadata(written), list)));

        expect(fault ?? '').not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
      fuzzed(200),
    );
  });

  it.each(['\u001b[2J', '\u202egnp', '\u007f', '\u2028'])(
    'shows no key as it stands: %j',
    (key) => {
      const text = JSON.stringify({ version: 1, floor: 0, accounts: [], removed: [], [key]: 1 });

      expect(faultOf(() => parseMetadata(text))).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    },
  );
});

describe('a htpasswd file', () => {
  const text = shapes(
    `ann:${HASH}\n`,
    `bob:${HASH}`,
    ':',
    '#',
    '$2y$',
    '\r',
    '\u202e',
    '\u009b',
    '$apr1$',
  ).map((shape) => textOf(shape, 200));

  it('is read and written the same, or is a fault told by its line without what a terminal would obey', () => {
    fc.assert(
      fc.property(text, (said) => {
        const fault = faultOf(() => {
          const file = HtpasswdFile.parse(said);
          expect(file.format()).toBe(said === '' || said.endsWith('\n') ? said : `${said}\n`);
        });

        if (fault !== undefined) expect(fault).toMatch(/^line \d+: /);
        expect(fault ?? '').not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
      fuzzed(200),
    );
  });

  it.each<[string, (text: string) => unknown]>([
    ['htpasswd', (said) => HtpasswdFile.parse(said)],
    ['accounts.json', parseMetadata],
  ])('%s is read in time that grows with its length alone', (_, read) => {
    fc.assert(
      fc.property(
        shapes(
          `ann:${HASH}\n`,
          ':',
          '\n\n',
          '# x\n',
          '{"version":1,',
          '"accounts":[',
          '{"username":"a"},',
        ),
        (shape) => expectLinear(read, shape, { length: 256_000, quick: 20 }),
      ),
      fuzzed(20),
    );
  });

  it('of many accounts is read in time that grows with their number alone', () => {
    const lines = (characters: number) =>
      Array.from({ length: characters / 80 }, (_, at) => `user${at}:${HASH}`).join('\n');
    expectLinear(
      (said) => HtpasswdFile.parse(lines(said.length)),
      { before: [], unit: ['a'], after: [] },
      { length: 640_000, quick: 20 },
    );
  });
});
