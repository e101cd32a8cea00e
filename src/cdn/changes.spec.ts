import type { CanonicalName } from '../oci/repository-name';
import { Changes } from './changes';

const APP = 'docker.io/library/app' as CanonicalName;
const OTHER = 'docker.io/library/other' as CanonicalName;

describe('Changes', () => {
  it('lets a moment stand until something is noted under its name, and no other', () => {
    const changes = new Changes();
    const before = changes.now(APP);

    changes.note(OTHER);
    const untouched = changes.stands(before);
    changes.note(APP);

    expect([untouched, changes.stands(before), changes.stands(changes.now(APP))]).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('lets a moment stand whatever is noted for somebody else, and none once it is noted for all', () => {
    const changes = new Changes();
    const [mine, yours] = [changes.now(APP, 'me'), changes.now(APP, 'you')];

    changes.note(APP, 'you');
    const refused = [mine, yours].map((moment) => changes.stands(moment));
    changes.note(APP);

    expect([refused, changes.stands(mine)]).toEqual([[true, false], false]);
  });

  it('lets no moment stand of a name that fell out of memory, changed since or not', () => {
    const changes = new Changes();
    const before = changes.now(APP);

    for (let n = 0; n < 10_000; n += 1) changes.note(`docker.io/library/app${n}` as CanonicalName);
    const forgotten = changes.stands(before);
    changes.note(APP);

    expect([forgotten, changes.stands(before)]).toEqual([false, false]);
  });
});
