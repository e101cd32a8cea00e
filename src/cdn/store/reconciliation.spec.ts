import fc from 'fast-check';
import { put, sample, type Sample } from '../../../test/contracts/content-store.contract';
import { HeldRoom, otherwise } from '../../../test/support/held-room';
import type { Digest } from '../../oci/digest';
import { canonicalName, parseRepositoryName } from '../../oci/repository-name';
import type { ContentIndex } from '../index/content-index';
import type { ContentStore } from './content-store';
import { Reconciliation } from './reconciliation';
import type { Via } from '../source';
import { Verification } from './verification';

const WARN = 40;
const ERROR = 50;
const SOUND = { store: true, index: true };
const GONE = { store: false, index: false };
const NAME = canonicalName('docker.io', parseRepositoryName('library/nginx')!);
const LINK = { via: 'anonymous.0' as Via, mediaType: undefined };

let room: HeldRoom;
let verification: Verification;
beforeEach(async () => {
  room = await HeldRoom.open();
  verification = new Verification(room.store, room.index, room.log);
});
afterEach(() => room.close());

/** Runs to its end, with other parts than the room's own where some are given. */
async function reconcile(
  parts: { store?: ContentStore; index?: ContentIndex; signal?: AbortSignal } = {},
): Promise<void> {
  const { store = room.store, index = room.index, signal = new AbortController().signal } = parts;
  await new Reconciliation(store, index, verification, room.log).run(signal);
}

const sizeInIndex = async (digest: Digest) => (await room.index.content(digest))?.size;

describe('a run', () => {
  it('leaves what agrees, and says nothing', async () => {
    const held = await Promise.all([room.hold(), room.hold(sample(0))]);
    await room.index.link(NAME, held[0].digest, LINK);

    await reconcile();

    for (const { digest } of held) expect(await room.isHeld(digest)).toEqual(SOUND);
    expect(await room.index.links(NAME, held[0].digest)).toHaveLength(1);
    expect(room.lines).toEqual([]);
  });

  it('does not hash what agrees: that is done when it is opened', async () => {
    const { digest } = await room.hold();
    room.damage(digest);

    await reconcile();

    expect(await room.isHeld(digest)).toEqual(SOUND);
  });

  it('forgets rows whose content is gone', async () => {
    const { digest } = await room.hold();
    await room.store.delete(digest);

    await reconcile();

    expect(await room.isHeld(digest)).toEqual(GONE);
    expect(room.lines).toMatchObject([{ forgotten: 1, added: 0, resized: 0, damaged: 0 }]);
  });

  it('adds content without a row once its digest holds, with no right to it', async () => {
    const content = sample(1000);
    room.plant(content);

    await reconcile();

    expect(await sizeInIndex(content.digest)).toBe(1000);
    expect(await room.index.isLinked(content.digest)).toBe(false);
  });

  it('removes content without a row that is not what its name says', async () => {
    const { digest } = sample(1000);
    room.plant({ digest, bytes: Buffer.from('planted') });

    await reconcile();

    expect(await room.isHeld(digest)).toEqual(GONE);
    expect(verification.damaged).toBe(1);
  });

  it('removes content of another size than its row says, if it is damaged', async () => {
    const content = await room.hold();
    room.plant({ ...content, bytes: content.bytes.subarray(1) });

    await reconcile();

    expect(await room.isHeld(content.digest)).toEqual(GONE);
    expect(verification.damaged).toBe(1);
  });

  it('corrects a row whose size is wrong, and keeps its rights', async () => {
    const { digest } = await room.hold();
    await room.index.add(digest, 77);
    await room.index.link(NAME, digest, LINK);

    await reconcile();

    expect(await sizeInIndex(digest)).toBe(1000);
    expect(await room.index.links(NAME, digest)).toHaveLength(1);
    expect(room.lines).toMatchObject([{ resized: 1 }]);
  });

  it('makes store and index agree, whatever they held, over many pages', async () => {
    const kind = fc.constantFrom('both', 'file', 'row', 'damaged file', 'wrong size');
    const kinds = fc.array(kind, { minLength: 600, maxLength: 800 });
    await fc.assert(
      fc.asyncProperty(kinds, async (kinds) => {
        const contents = kinds.map((kind) => ({ kind, ...sample(10) }));
        for (const { kind, digest, bytes } of contents) {
          if (kind === 'damaged file') room.plant({ digest, bytes: Buffer.from('else') });
          else if (kind !== 'row') room.plant({ digest, bytes });
          if (kind === 'both' || kind === 'row') await room.index.add(digest, 10);
          if (kind === 'wrong size') await room.index.add(digest, 11);
        }

        await reconcile();

        for (const { kind, digest } of contents) {
          const held = kind !== 'row' && kind !== 'damaged file';
          expect([kind, await room.isHeld(digest)]).toEqual([kind, held ? SOUND : GONE]);
          expect(await sizeInIndex(digest)).toBe(held ? 10 : undefined);
        }
      }),
      { numRuns: 3 },
    );
  });
});

describe('while the gate serves', () => {
  it('nothing that is put meanwhile is lost', async () => {
    const before: Sample[] = [];
    const meanwhile: Sample[] = [];
    let running = true;
    const live = async () => {
      while (running) meanwhile.push(await room.hold(sample(100)));
    };

    const writers = [live(), live(), live()];
    while (meanwhile.length < 20) {
      const planted = Array.from({ length: 300 }, () => sample(10));
      for (const content of planted) room.plant(content);
      before.push(...planted);
      await reconcile();
    }
    running = false;
    await Promise.all(writers);

    for (const { digest } of [...before, ...meanwhile]) {
      expect(await room.isHeld(digest)).toEqual(SOUND);
    }
  });

  it('content that is put when its row is about to go keeps a row', async () => {
    const content = await room.hold();
    await room.store.delete(content.digest);
    const index = otherwise<ContentIndex>(room.index, {
      async remove(digest) {
        await put({ store: room.store, spools: room.store }, content);
        await room.index.remove(digest);
      },
    });

    await reconcile({ index });

    expect(await room.isHeld(content.digest)).toEqual(SOUND);
  });

  it('content that is put after the list was read keeps its row and its rights', async () => {
    const content = sample(1000);
    await room.index.add(content.digest, 1000);
    let listed = false;
    const store = otherwise<ContentStore>(room.store, {
      async list(after, limit) {
        const page = await room.store.list(after, limit);
        if (!listed) await room.hold(content);
        if (!listed) await room.index.link(NAME, content.digest, LINK);
        listed = true;
        return page;
      },
    });

    await reconcile({ store });

    expect(await room.isHeld(content.digest)).toEqual(SOUND);
    expect(await room.index.links(NAME, content.digest)).toHaveLength(1);
  });

  it('content that is deleted when its row is about to be made gets none', async () => {
    const content = sample(1000);
    room.plant(content);
    const index = otherwise<ContentIndex>(room.index, {
      async add(digest, size) {
        await room.store.delete(digest);
        return room.index.add(digest, size);
      },
    });

    await reconcile({ index });

    expect(await room.isHeld(content.digest)).toEqual(GONE);
  });

  it('content is not hashed when its row came meanwhile', async () => {
    const content = sample(1000);
    room.plant({ ...content, bytes: Buffer.from('not hashed') });
    let listed = false;
    const index = otherwise<ContentIndex>(room.index, {
      async list(after, limit) {
        const page = await room.index.list(after, limit);
        if (!listed) await room.index.add(content.digest, 1000);
        listed = true;
        return page;
      },
    });

    await reconcile({ index });

    expect(verification.damaged).toBe(0);
  });
});

describe('what stands in the way', () => {
  it('of one content does not keep the others from being looked at', async () => {
    const contents = [sample(10), sample(10), sample(10)];
    for (const content of contents) room.plant(content);
    const [unreadable, ...others] = contents.map(({ digest }) => digest);
    const index = otherwise<ContentIndex>(room.index, {
      content: (digest) =>
        digest === unreadable
          ? Promise.reject(new Error('the index is busy'))
          : room.index.content(digest),
    });

    await reconcile({ index });

    for (const digest of others) expect(await room.isHeld(digest)).toEqual(SOUND);
    expect(room.lines).toContainEqual(expect.objectContaining({ level: WARN, digest: unreadable }));
  });

  it('of all is logged, and nothing fails', async () => {
    await room.hold();
    await room.index.close();

    await reconcile();

    expect(room.lines).toMatchObject([{ level: ERROR }]);
  });

  it('of each one breaks it off before the log is full of it', async () => {
    for (let count = 0; count < 50; count++) room.plant(sample(10));
    const index = otherwise<ContentIndex>(room.index, {
      add: () => Promise.reject(new Error('database or disk is full')),
    });

    await reconcile({ index });

    const levels = room.lines.map(({ level }) => level);
    expect(levels).toEqual([...Array.from({ length: 9 }, () => WARN), ERROR]);
  });

  it('ends it quietly when it is called off', async () => {
    const contents = Array.from({ length: 20 }, () => sample(10));
    for (const content of contents) room.plant(content);
    const stopping = new AbortController();
    let added = 0;
    const index = otherwise<ContentIndex>(room.index, {
      async add(digest, size) {
        const isNew = await room.index.add(digest, size);
        if (++added === 5) stopping.abort();
        return isNew;
      },
    });

    await reconcile({ index, signal: stopping.signal });

    expect((await room.index.totals()).contents).toBe(5);
    expect(room.lines).toEqual([]);
  });
});
