import { NO_METADATA, withRecord, type AccountRecord } from './account-metadata';
import { recordIn, stepsToAdd, stepsToChange, stepsToRemove } from './account-steps';
import type { Step } from './account-files';
import type { Draft } from './account-store';
import { HtpasswdFile } from './htpasswd-file';
import { dummyHash, fingerprintOf } from './password-hash';
import { reconcile } from './reconcile';

const OLD = dummyHash(5);
const NEW = dummyHash(5);
const ADMIN: AccountRecord = {
  role: 'admin',
  access: [{ repository: '**', actions: ['push'] }],
  disabled: false,
  epoch: 3,
  fingerprints: [fingerprintOf(OLD)],
};

function draftOf(htpasswd: HtpasswdFile, stored = NO_METADATA): Draft {
  const reconciled = reconcile(htpasswd.hashes, stored);
  const pair = { htpasswd: { kind: 'absent' }, metadata: { kind: 'absent' } } as const;
  return {
    snapshot: { ...reconciled, htpasswd, stored, pair, highestCost: 10, faults: {} },
    base: stored,
  };
}

/** What a gate finds that starts after the steps were cut: after none of them, after the first, and so on. */
function cuts({ snapshot, base }: Draft, steps: Step[]) {
  return Array.from({ length: steps.length + 1 }, (_, done) => {
    let { htpasswd } = snapshot;
    let metadata = base;
    for (const step of steps.slice(0, done)) {
      if ('htpasswd' in step) htpasswd = step.htpasswd;
      else metadata = step.metadata;
    }
    return reconcile(htpasswd.hashes, metadata).accounts.get('ann');
  });
}

const nobody = draftOf(HtpasswdFile.empty);
const ann = draftOf(HtpasswdFile.empty.with('ann', OLD), withRecord(NO_METADATA, 'ann', ADMIN));

describe('the steps of a change, wherever they are cut', () => {
  it('make an account with all its rights, or none', () => {
    const { epoch: _, fingerprints: __, ...fields } = ADMIN;

    const found = cuts(nobody, stepsToAdd(nobody, 'ann', fields, NEW));

    expect(found).toEqual([undefined, undefined, expect.objectContaining(fields)]);
  });

  it('change a password and leave the account its rights', () => {
    const found = cuts(ann, stepsToChange(ann, 'ann', recordIn(ann, 'ann'), NEW));

    const fingerprints = [OLD, OLD, NEW, NEW].map(fingerprintOf);
    const { role, access, epoch } = ADMIN;
    expect(found).toMatchObject(
      fingerprints.map((fingerprint) => ({ role, access, epoch, fingerprint })),
    );
  });

  it('take an account away with the first of them', () => {
    const [before, ...after] = cuts(ann, stepsToRemove(ann, 'ann'));

    expect(before).toMatchObject({ role: 'admin' });
    expect(after).toEqual([undefined, undefined]);
  });
});
