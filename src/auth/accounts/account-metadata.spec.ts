import {
  firstEpoch,
  formatMetadata,
  MetadataFault,
  NO_METADATA,
  parseMetadata,
  sealOf,
  withoutRecord,
  withRecord,
  withRecords,
  type AccountRecord,
} from './account-metadata';

const ANN: AccountRecord = { role: 'admin', disabled: false, epoch: 3, fingerprints: ['f1'] };
const CI: AccountRecord = {
  role: 'user',
  access: [{ repository: 'team/**', actions: ['pull'] }],
  disabled: true,
  expires: '2027-01-31T10:00:00.000Z',
  epoch: 0,
  fingerprints: ['f2', 'f3'],
  suspended: true,
};

function faultOf(text: string): string {
  try {
    parseMetadata(text);
  } catch (error) {
    expect(error).toBeInstanceOf(MetadataFault);
    return (error as Error).message;
  }
  return 'none';
}

describe('accounts.json', () => {
  const full = {
    seal: sealOf('ann:hash\n'),
    floor: 2,
    records: new Map([
      ['ann', ANN],
      ['__proto__', CI],
    ]),
    removed: new Map([['bob', 7]]),
  };

  it('is read as it was written, an account a line', () => {
    const text = formatMetadata(full);

    expect(parseMetadata(text)).toEqual(full);
    expect(text.split('\n').filter((line) => line.includes('"username"'))).toHaveLength(3);
  });

  it('of nobody is written whole, too', () => {
    const text = formatMetadata(NO_METADATA);

    expect(text).toBe('{\n  "version": 1,\n  "floor": 0,\n  "accounts": [],\n  "removed": []\n}\n');
    expect(parseMetadata(text)).toEqual(NO_METADATA);
  });

  const empty = { version: 1, floor: 0, accounts: [], removed: [] };
  const ann = { username: 'ann', ...ANN };
  it.each<[string, unknown, string]>([
    ['two of one name', { ...empty, accounts: [ann, ann] }, 'accounts: a name twice'],
    ['another version', { ...empty, version: 2 }, 'version: '],
    [
      'a fault deep within',
      { ...empty, accounts: [{ ...ann, role: 'root' }] },
      'accounts.0.role: is not right; give user or admin',
    ],
    ['no document', [], 'the document: '],
    [
      'an account without a hash',
      { ...empty, accounts: [{ ...ann, fingerprints: [] }] },
      'accounts.0.fingerprints: ',
    ],
  ])('with %s is refused, and the fault says where', (_what, document, fault) => {
    expect(faultOf(JSON.stringify(document)).startsWith(fault)).toBe(true);
  });

  it('that is no JSON is refused without a word of it', () => {
    expect(faultOf('{"secret')).toBe('not JSON');
  });

  it('is told in few words, however long a key is', () => {
    expect(faultOf(JSON.stringify({ ...empty, ['k'.repeat(1000)]: 1 })).length).toBe(300);
  });
});

describe('what is known of a name', () => {
  it('is put beside that of others, and it is no removed one any more', () => {
    const before = withoutRecord(withRecord(NO_METADATA, 'ann', ANN), 'ci', 4);

    const after = withRecord(before, 'ci', CI);

    expect([...after.records.keys()]).toEqual(['ann', 'ci']);
    expect(after.removed.size).toBe(0);
    expect(before.removed.get('ci')).toBe(4);
    expect(withRecords(after, new Map())).toBe(after);
  });

  it('begins after whatever was issued to it or to anybody who is forgotten', () => {
    const metadata = withoutRecord(withRecord({ ...NO_METADATA, floor: 2 }, 'ann', ANN), 'bob', 7);

    expect(['ann', 'bob', 'eve'].map((name) => firstEpoch(metadata, name))).toEqual([4, 7, 2]);
  });

  it('is forgotten after ten thousand others, and then everybody begins after it', () => {
    let metadata = withoutRecord(NO_METADATA, 'first', 9);
    metadata = { ...metadata, removed: new Map([...metadata.removed, ...names(9_999)]) };

    const full = withoutRecord(metadata, 'last', 1);

    expect(metadata.removed.size).toBe(10_000);
    expect([full.removed.size, full.removed.has('first'), full.floor]).toEqual([10_000, false, 9]);
    expect(withoutRecord(full, 'name 5', 3).floor).toBe(9);
  });
});

function names(count: number): [string, number][] {
  return Array.from({ length: count }, (_, index) => [`name ${index}`, 0]);
}
