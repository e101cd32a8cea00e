import fc from 'fast-check';
import type { Account } from './account';
import {
  formatMetadata,
  NO_METADATA,
  parseMetadata,
  withoutRecord,
  withRecord,
  type AccountRecord,
  type Metadata,
} from './account-metadata';
import { dummyHash, fingerprintOf } from './password-hash';
import { reconcile, type Reconciled } from './reconcile';

const HASHES = Array.from({ length: 4 }, () => dummyHash(5));
const [OLD = '', NEW = ''] = HASHES;

const LIST: AccountRecord['access'] = [
  { repository: 'team/**', actions: ['pull', 'push'] },
  { repository: 'drop/*', actions: ['push'] },
];
const ADMIN: AccountRecord = {
  role: 'admin',
  access: LIST,
  disabled: false,
  epoch: 3,
  fingerprints: [fingerprintOf(OLD)],
};
const holding = (record: AccountRecord): Metadata => withRecord(NO_METADATA, 'ann', record);
const reading = (hash: string) => new Map([['ann', hash]]);
const seen = (hash: string) => reconcile(reading(hash), NO_METADATA).accounts;

describe('reconcile', () => {
  it('takes an account that only htpasswd knows for an ordinary one, and has nothing to write', () => {
    const { accounts, metadata } = reconcile(reading(OLD), NO_METADATA);

    expect(accounts.get('ann')).toMatchObject({ role: 'user', access: undefined, epoch: 0 });
    expect(metadata).toBe(NO_METADATA);
  });

  it('reads $2y$ and $2b$ as the same hash', () => {
    const { accounts } = reconcile(reading(OLD.replace('$2b$', '$2y$')), holding(ADMIN));

    expect(accounts.get('ann')).toMatchObject({ role: 'admin', epoch: 3 });
  });

  it('suspends a name that vanishes, and revives it with the same hash with everything it had', () => {
    const gone = reconcile(new Map(), holding(ADMIN), seen(OLD));
    const back = reconcile(reading(OLD), gone.metadata, gone.accounts);

    expect(gone.accounts.size).toBe(0);
    expect(gone.metadata.records.get('ann')).toMatchObject({ suspended: true, role: 'admin' });
    expect(back.accounts.get('ann')).toMatchObject({ role: 'admin', access: LIST, epoch: 3 });
    expect(back.metadata.records.get('ann')?.suspended).toBeUndefined();
  });

  it('takes a name that comes back with another hash for a new ordinary account, above every earlier epoch', () => {
    const disabled = { ...ADMIN, disabled: true, expires: '2020-01-01T00:00:00.000Z' };
    const gone = reconcile(new Map(), holding(disabled), seen(OLD));
    const back = reconcile(reading(NEW), gone.metadata, gone.accounts);

    expect(back.accounts.get('ann')).toMatchObject({ role: 'user', disabled: false, epoch: 4 });
    expect(back.accounts.get('ann')?.access).toBeUndefined();
    expect(back.accounts.get('ann')?.expires).toBeUndefined();
    expect(back.lessened).toEqual([]);
  });

  it('takes a hash that changes between two readings for a change of password', () => {
    const { accounts, metadata } = reconcile(reading(NEW), holding(ADMIN), seen(OLD));

    expect(accounts.get('ann')).toMatchObject({ role: 'admin', access: LIST, epoch: 3 });
    expect(metadata.records.get('ann')?.fingerprints).toEqual([fingerprintOf(NEW)]);
  });

  it('gives the lesser of both to a hash that changed while nobody watched', () => {
    const expires = '2030-01-01T00:00:00.000Z';
    const kept = { disabled: true, expires };
    const { accounts, lessened } = reconcile(reading(NEW), holding({ ...ADMIN, ...kept }));

    expect(lessened).toEqual(['ann']);
    expect(accounts.get('ann')).toMatchObject({
      role: 'user',
      access: [{ repository: 'team/**', actions: ['pull'] }],
      epoch: 4,
      ...kept,
    });
  });

  it('is silent about an ordinary account whose password changed while nobody watched', () => {
    const { access: _, ...rest } = ADMIN;
    const { accounts, lessened } = reconcile(reading(NEW), holding({ ...rest, role: 'user' }));

    expect(lessened).toEqual([]);
    expect(accounts.get('ann')).toMatchObject({ role: 'user', access: undefined });
  });

  it.each([OLD, NEW])('keeps everything wherever a change of password was cut', (hash) => {
    const fingerprints = [fingerprintOf(OLD), fingerprintOf(NEW)];
    const { accounts, metadata } = reconcile(reading(hash), holding({ ...ADMIN, fingerprints }));

    expect(accounts.get('ann')).toMatchObject({ role: 'admin', epoch: 3 });
    expect(metadata.records.get('ann')?.fingerprints).toEqual([fingerprintOf(hash)]);
  });

  it('gives a removed name that comes back by hand the epoch that was left for it', () => {
    const removed = withoutRecord(holding(ADMIN), 'ann', 7);
    const { accounts, metadata } = reconcile(reading(OLD), removed);

    expect(accounts.get('ann')).toMatchObject({ role: 'user', epoch: 7 });
    expect(metadata.removed.size).toBe(0);
  });

  it('forgets the oldest of too many removed names without letting an epoch fall', () => {
    const names = Array.from({ length: 10_000 }, (_, index) => [`u${index}`, 5] as const);
    const metadata = withoutRecord({ ...NO_METADATA, removed: new Map(names) }, 'last', 9);

    expect(metadata.removed.size).toBe(10_000);
    expect(reconcile(new Map([['u0', OLD]]), metadata).accounts.get('u0')?.epoch).toBe(5);
  });
});

/** What an operator does to the files between two readings, or a restart. */
type Doing =
  | { readonly kind: 'put'; readonly name: string; readonly hash: string }
  | { readonly kind: 'drop'; readonly name: string }
  | { readonly kind: 'restart' };

const name = fc.constantFrom('ann', 'bob', '__proto__');
const doing: fc.Arbitrary<Doing> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), name, hash: fc.constantFrom(...HASHES) }),
  fc.record({ kind: fc.constant('drop' as const), name }),
  fc.constant({ kind: 'restart' as const }),
);
const records = fc.record({
  role: fc.constantFrom('user' as const, 'admin' as const),
  disabled: fc.boolean(),
  epoch: fc.nat(5),
  fingerprints: fc.constantFrom(...HASHES).map((hash) => [fingerprintOf(hash)]),
});
const starts = fc
  .array(fc.tuple(name, records), { maxLength: 3 })
  .map((list) => list.reduce((all, [who, record]) => withRecord(all, who, record), NO_METADATA));

/** Runs the doings, with a look at each state and the one before it. */
function play(
  start: Metadata,
  doings: readonly Doing[],
  look: (before: ReadonlyMap<string, Account>, after: Reconciled, watched: boolean) => void,
): void {
  const htpasswd = new Map<string, string>();
  let metadata = start;
  let last: ReadonlyMap<string, Account> | undefined;
  for (const step of doings) {
    if (step.kind === 'put') htpasswd.set(step.name, step.hash);
    if (step.kind === 'drop') htpasswd.delete(step.name);
    if (step.kind === 'restart') last = undefined;
    const state = reconcile(htpasswd, metadata, last);
    look(last ?? new Map(), state, last !== undefined);
    metadata = parseMetadata(formatMetadata(state.metadata));
    last = state.accounts;
  }
}

describe('reconcile, whatever happens to the files', () => {
  const doings = fc.array(doing, { maxLength: 20 });

  it('has exactly the accounts of htpasswd, and changes nothing when asked again', () => {
    fc.assert(
      fc.property(starts, fc.dictionary(name, fc.constantFrom(...HASHES)), (start, hashes) => {
        const reading = new Map(Object.entries(hashes));
        const first = reconcile(reading, start);
        const again = reconcile(reading, first.metadata, first.accounts);

        expect([...first.accounts.keys()].sort()).toEqual([...reading.keys()].sort());
        expect(again.metadata).toBe(first.metadata);
        expect(again.accounts).toEqual(first.accounts);
        expect(parseMetadata(formatMetadata(first.metadata))).toEqual(first.metadata);
      }),
    );
  });

  it('never lets an epoch of a name fall', () => {
    fc.assert(
      fc.property(starts, doings, (start, steps) => {
        const highest = new Map([...start.records].map(([who, { epoch }]) => [who, epoch]));
        play(start, steps, (_, { accounts }) => {
          for (const { username, epoch } of accounts.values()) {
            expect(epoch).toBeGreaterThanOrEqual(highest.get(username) ?? 0);
            highest.set(username, epoch);
          }
        });
      }),
    );
  });

  it('makes nobody an admin whose hash neither was the admin’s nor changed before its eyes', () => {
    fc.assert(
      fc.property(starts, doings, (start, steps) => {
        const trusted = new Map(
          [...start.records]
            .filter(([, { role }]) => role === 'admin')
            .map(([who, { fingerprints }]) => [who, new Set(fingerprints)]),
        );
        play(start, steps, (before, { accounts }, watched) => {
          for (const { username, role, fingerprint } of accounts.values()) {
            if (role !== 'admin') continue;
            const inPlace = watched && before.get(username)?.role === 'admin';
            if (inPlace) trusted.get(username)?.add(fingerprint);
            expect(trusted.get(username)).toContain(fingerprint);
          }
        });
      }),
    );
  });
});
