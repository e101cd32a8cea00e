import { eventually } from '../../../test/support/lifecycle';
import { truncateSync, writeFileSync } from 'node:fs';
import { sample } from '../../../test/contracts/content-store.contract';
import { HeldRoom, otherwise } from '../../../test/support/held-room';
import type { Digest } from '../../oci/digest';
import type { ContentStore, StoredContent } from './content-store';
import { Verification, type VerificationProgress } from './verification';

const MIB = 1024 * 1024;
const WARN = 40;
const ERROR = 50;
const SOUND = { store: true, index: true };
const GONE = { store: false, index: false };

let room: HeldRoom;
let verification: Verification;
beforeEach(async () => {
  room = await HeldRoom.open();
  verification = new Verification(room.store, room.index, room.log);
});
afterEach(() => room.close());

async function stampOf(digest: Digest): Promise<string> {
  const content = await room.store.open(digest);
  await content?.close();
  return content?.stamp ?? 'none';
}

/** A verification of the room's contents, each of them read as `read` says. */
function reading(
  read: (content: StoredContent, into: Uint8Array) => Promise<number>,
  count: { opened: number } = { opened: 0 },
): Verification {
  const open: ContentStore['open'] = async (digest) => {
    count.opened++;
    const content = await room.store.open(digest);
    if (!content) return undefined;
    const { size, stamp } = content;
    return { size, stamp, read: (into) => read(content, into), close: () => content.close() };
  };
  return new Verification(otherwise<ContentStore>(room.store, { open }), room.index, room.log);
}

describe('verify', () => {
  it.each([0, 1, MIB, 3 * MIB + 17])(
    'finds %d sound bytes sound, and leaves them',
    async (size) => {
      const { digest } = await room.hold(sample(size));

      expect(await verification.verify(digest)).toBe('sound');

      expect(await room.isHeld(digest)).toEqual(SOUND);
      expect(verification.isKnownSound(digest, await stampOf(digest))).toBe(true);
      expect(verification.damaged).toBe(0);
      expect(room.lines).toEqual([]);
    },
  );

  it.each<[string, (place: string, digest: Digest) => void]>([
    ['a bit was turned over', (_, digest) => room.damage(digest)],
    ['its end is missing', (place) => truncateSync(place, 999)],
    ['all of it is missing', (place) => truncateSync(place, 0)],
    ['something follows', (place) => truncateSync(place, 1001)],
    ['it is something else', (place) => writeFileSync(place, 'something else')],
  ])('removes content of which %s', async (_, harm) => {
    const { digest } = await room.hold();
    const other = await room.hold();
    await verification.verify(digest);
    harm(room.placeOf(digest), digest);

    expect(await verification.verify(digest)).toBe('damaged');

    expect(await room.isHeld(digest)).toEqual(GONE);
    expect(await room.isHeld(other.digest)).toEqual(SOUND);
    expect(verification.damaged).toBe(1);
    expect(room.lines).toMatchObject([{ level: WARN, digest }]);
    expect(await verification.verify(digest)).toBe('gone');
  });

  it('takes what the disk cannot read any more for damaged', async () => {
    const { digest } = await room.hold();
    const broken = reading(() =>
      Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })),
    );

    expect(await broken.verify(digest)).toBe('damaged');

    expect(await room.isHeld(digest)).toEqual(GONE);
  });

  it('does not take for damaged what cannot be read for another reason', async () => {
    const { digest } = await room.hold();
    const broken = reading(() => Promise.reject(new Error('too many open files')));

    await expect(broken.verify(digest)).rejects.toThrow('too many open files');

    expect(await room.isHeld(digest)).toEqual(SOUND);
  });

  it('reads once for many who ask at once, and counts one damage once', async () => {
    const { digest } = await room.hold();
    room.damage(digest);
    const count = { opened: 0 };
    const counting = reading((content, into) => content.read(into), count);

    const verdicts = await Promise.all(Array.from({ length: 50 }, () => counting.verify(digest)));

    expect(new Set(verdicts)).toEqual(new Set(['damaged']));
    // Once to read it, and once to see that it is still the same.
    expect(count.opened).toBe(2);
    expect(counting.damaged).toBe(1);
  });

  it('reads one chunk of bounded size at a time, however many contents are verified', async () => {
    const contents = await Promise.all([5, 3, 4].map((size) => room.hold(sample(size * MIB))));
    const order: StoredContent[] = [];
    const files = { opened: 0 };
    let [running, most, largest] = [0, 0, 0];
    const watched = reading(async (content, into) => {
      order.push(content);
      most = Math.max(most, ++running);
      largest = Math.max(largest, into.length);
      // All of them are there to take their turn, however slowly they are opened.
      await eventually('all are opened', () => files.opened >= contents.length);
      const count = await content.read(into);
      running--;
      return count;
    }, files);

    await Promise.all(contents.map(({ digest }) => watched.verify(digest)));

    expect([most, largest]).toEqual([1, MIB]);
    // In turn: none waits until another is through.
    expect(new Set(order.slice(0, 3)).size).toBe(3);
  });

  it('judges what was put meanwhile, not what was there before', async () => {
    const content = await room.hold(sample(2 * MIB));
    room.damage(content.digest);
    let replaced = false;
    const slow = reading(async (open, into) => {
      if (!replaced) await room.hold(content);
      replaced = true;
      return open.read(into);
    });

    expect(await slow.verify(content.digest)).toBe('sound');

    expect(await room.isHeld(content.digest)).toEqual(SOUND);
    expect(slow.damaged).toBe(0);
  });

  it('ends when it is called off, and leaves everything as it was', async () => {
    const { digest } = await room.hold(sample(5 * MIB));
    const stopping = new AbortController();
    let reads = 0;
    const stopped = reading((content, into) => {
      if (++reads === 2) stopping.abort(new Error('enough'));
      return content.read(into);
    });

    await expect(stopped.verify(digest, stopping.signal)).rejects.toThrow('enough');

    expect(reads).toBe(2);
    expect(await room.isHeld(digest)).toEqual(SOUND);
  });
});

describe('isKnownSound', () => {
  it('knows nothing that was not verified', async () => {
    const { digest } = await room.hold();

    expect(verification.isKnownSound(digest, await stampOf(digest))).toBe(false);
  });

  it('goes by the stamp: other bytes are not known', async () => {
    const { digest } = await room.hold();
    verification.noteSound(digest, await stampOf(digest));
    expect(verification.isKnownSound(digest, await stampOf(digest))).toBe(true);

    room.damage(digest);

    expect(verification.isKnownSound(digest, await stampOf(digest))).toBe(false);
  });

  it('forgets what was found damaged', async () => {
    const { digest } = await room.hold();
    const stamp = await stampOf(digest);
    verification.noteSound(digest, stamp);

    await verification.noteDamaged(digest);

    expect(verification.isKnownSound(digest, stamp)).toBe(false);
  });
});

describe('noteDamaged', () => {
  it('leaves what came under another stamp than the damage was seen under', async () => {
    const content = await room.hold();
    const seen = await stampOf(content.digest);
    await room.store.delete(content.digest);
    await room.hold(content);

    await verification.noteDamaged(content.digest, `${seen}0`);
    expect(await room.isHeld(content.digest)).toEqual(SOUND);
    expect(verification.damaged).toBe(0);

    await verification.noteDamaged(content.digest, await stampOf(content.digest));
    expect(await room.isHeld(content.digest)).toEqual(GONE);
    expect(verification.damaged).toBe(1);
  });

  it('counts what is gone already for nothing, and has its row removed', async () => {
    const { digest } = await room.hold();
    await room.store.delete(digest);

    await verification.noteDamaged(digest);

    expect(await room.isHeld(digest)).toEqual(GONE);
    expect(verification.damaged).toBe(0);
    expect(room.lines).toEqual([]);
  });

  it('takes it out of the index where the store cannot remove it, and says so', async () => {
    const { digest } = await room.hold();
    const readOnly = otherwise<ContentStore>(room.store, {
      delete: () => Promise.reject(new Error('read-only file system')),
    });
    verification = new Verification(readOnly, room.index, room.log);

    await verification.noteDamaged(digest);

    expect(await room.isHeld(digest)).toEqual({ store: true, index: false });
    expect(room.lines).toMatchObject([{ level: ERROR, digest }]);
  });

  it('does not fail where the index does', async () => {
    const { digest } = await room.hold();
    await room.index.close();

    await verification.noteDamaged(digest);

    expect(await room.store.open(digest)).toBeUndefined();
    expect(room.lines.map(({ level }) => level)).toEqual([WARN, ERROR]);
  });
});

describe('verifyAll', () => {
  const { signal } = new AbortController();

  it('removes what is damaged, leaves the rest, and tells how far it is', async () => {
    const held = await Promise.all([0, 1, 1000, 2 * MIB, 1000].map((n) => room.hold(sample(n))));
    const bytes = 2 * MIB + 2001;
    const [, , bad] = held;
    room.damage(bad!.digest);
    const seen: VerificationProgress[] = [];

    await verification.verifyAll({ signal, progress: (progress) => seen.push(progress) });

    for (const { digest } of held) {
      expect(await room.isHeld(digest)).toEqual(digest === bad!.digest ? GONE : SOUND);
    }
    const totals = { totalContents: 5, totalBytes: bytes };
    expect(seen[0]).toEqual({ contents: 0, bytes: 0, damaged: 0, ...totals });
    expect(seen.at(-1)).toEqual({ contents: 5, bytes, damaged: 1, ...totals });
    // Large contents are told of while they are read, and never backwards.
    expect(seen.map((progress) => progress.bytes)).toEqual(
      seen.map((progress) => progress.bytes).sort((a, b) => a - b),
    );
    expect(seen.length).toBeGreaterThan(6);
  });

  it('passes over what cannot be read, and says so', async () => {
    const held = await Promise.all([room.hold(), room.hold(), room.hold()]);
    const [unreadable, bad] = held.map(({ digest }) => digest);
    room.damage(bad!);
    const store = otherwise<ContentStore>(room.store, {
      open: (digest) =>
        digest === unreadable ? Promise.reject(new Error('EACCES')) : room.store.open(digest),
    });

    await new Verification(store, room.index, room.log).verifyAll({ signal });

    expect(await room.isHeld(unreadable!)).toEqual(SOUND);
    expect(await room.isHeld(bad!)).toEqual(GONE);
    expect(room.lines).toContainEqual(
      expect.objectContaining({ level: ERROR, digest: unreadable }),
    );
  });

  it('ends when it is called off', async () => {
    await Promise.all([room.hold(), room.hold(), room.hold()]);
    const stopping = new AbortController();
    const seen: number[] = [];

    const run = verification.verifyAll({
      signal: stopping.signal,
      progress({ contents }) {
        seen.push(contents);
        if (contents === 1) stopping.abort(new Error('enough'));
      },
    });

    await expect(run).rejects.toThrow('enough');
    expect(seen.at(-1)).toBe(1);
  });

  it('fails where the index cannot be read: half a run is none', async () => {
    await room.hold();
    await room.index.close();

    await expect(verification.verifyAll({ signal })).rejects.toThrow();
  });
});
