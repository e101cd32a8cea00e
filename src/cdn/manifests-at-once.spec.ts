import { heldCache } from '../../test/support/held-cache';
import { otherwise } from '../../test/support/held-room';
import { registryAt } from '../../test/support/upstream-fixture';
import { ClientLogin } from '../config/principal';
import { digestOf, type Digest } from '../oci/digest';
import type { Reference, Tag } from '../oci/reference';
import type { RepositoryName } from '../oci/repository-name';
import { UpstreamFaults } from '../upstream/upstream-faults';
import type { Cache } from './cache';
import type { TagRecord } from './index/content-index';
import { ManifestsAtOnce } from './manifests-at-once';
import { Permission } from './permission';
import { SmallContent } from './small-content';
import { nameOf, viaOf, type Source } from './source';
import { Tags } from './tags.service';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const ROBOT = { username: 'robot', password: 'secret' };
const BYTES = Buffer.from('{"schemaVersion":2}');
const DIGEST = digestOf(BYTES);
const OTHER = digestOf(Buffer.from('other'));
const TAG = '1' as Tag;
const TTL = 60_000;

const registry = registryAt('https://reg.example', { credentials: [ROBOT], tagTtl: TTL });
const source: Source = { registry, repository: 'team/app' as RepositoryName, as: 'configured' };
const broken = () => Promise.reject(new Error('the disk is full'));

type Index = Cache['index'];

/** How it is asked for. */
interface Asked {
  readonly from?: Source;
  readonly reference?: Reference;
  readonly accept?: string | undefined;
}

const PLAIN = { from: source, reference: DIGEST as Reference, accept: IMAGE };

/** What stands around it, with the manifest held; some of the index's calls may be done otherwise. */
async function room(calls: Parameters<typeof otherwise<Index>>[1] = {}, memory = 1024 * 1024) {
  const { cache: itself, log } = await heldCache({ memory });
  const cache: Cache = { ...itself, index: otherwise(itself.index, calls) };
  const faults = new UpstreamFaults();
  const permission = new Permission(cache, faults, log);
  const tags = new Tags(cache, log);
  const small = new SmallContent(cache, log);
  const answers = new ManifestsAtOnce(cache, permission, tags, small);
  await small.write(DIGEST, BYTES);
  await permission.grant(source, DIGEST, IMAGE, permission.now(source));
  /** As whoever looks it up: the generation first, then what is there. */
  const note = (given: Asked = {}, record?: TagRecord) => {
    const { from, reference, accept } = { ...PLAIN, ...given };
    const generation = answers.generation(from);
    if (generation === undefined) return;
    answers.note(from, reference, accept, { generation, digest: DIGEST, mediaType: IMAGE, record });
  };
  const find = (given: Asked = {}) => {
    const { from, reference, accept } = { ...PLAIN, ...given };
    return answers.find(from, reference, accept);
  };
  return { cache, faults, permission, tags, small, answers, note, find };
}

const recordOf = (age: number): TagRecord => ({
  digest: DIGEST,
  mediaType: IMAGE,
  size: BYTES.length,
  checkedAt: Date.now() - age,
});

describe('a manifest that was found', () => {
  it('is found again, with its bytes, as often as it is asked for', async () => {
    const { note, find } = await room();
    note();

    const found = [find(), find()];

    expect(found).toEqual(
      Array(2).fill(
        expect.objectContaining({ digest: DIGEST, mediaType: IMAGE, bytes: BYTES }) as unknown,
      ),
    );
  });

  it('is used by being found: it is not the first to go', async () => {
    const touched: Digest[] = [];
    const { note, find } = await room({ touch: (digest) => void touched.push(digest) });
    note();

    find();

    expect(touched).toEqual([DIGEST]);
  });

  it.each<[string, Asked]>([
    ['another reference', { reference: TAG }],
    ['another digest', { reference: OTHER }],
    ['another Accept', { accept: 'text/plain' }],
    ['no Accept', { accept: undefined }],
    ['another name', { from: { ...source, repository: 'team/other' as RepositoryName } }],
    ['nobody in particular', { from: { ...source, as: 'anonymous' } }],
    [
      'the registry of another address',
      { from: { ...source, registry: registryAt('https://new.example', { name: registry.name }) } },
    ],
    [
      'other accounts at the registry',
      {
        from: {
          ...source,
          registry: { ...registry, credentials: [{ username: 'new', password: 'secret' }] },
        },
      },
    ],
    [
      'a login of the client’s own',
      { from: { ...source, as: new ClientLogin('reg.example', 'x') } },
    ],
  ])('is not found for %s', async (_, asked) => {
    const { note, find } = await room();
    note();

    expect([find(asked), find()?.digest]).toEqual([undefined, DIGEST]);
  });

  it('for those who send no Accept is so for those who send an empty one, who take as much', async () => {
    const { note, find } = await room();
    note({ accept: undefined });

    expect(find({ accept: '' })?.digest).toBe(DIGEST);
  });

  it('by a login of the client’s own is nothing to remember: that may end with nobody told', async () => {
    const { answers } = await room();
    const own = { ...source, as: new ClientLogin('reg.example', 'Bearer of-ann') };

    expect([answers.generation(own), answers.generation(source)]).toEqual([
      undefined,
      expect.any(Number),
    ]);
  });
});

describe('what was found holds no longer', () => {
  it.each<[string, (index: Index) => Promise<unknown>]>([
    ['a right is given', (index) => index.link(nameOf(source), DIGEST, linkOf(IMAGE))],
    ['rights are taken back', (index) => index.unlink(nameOf(source))],
    ['those of others are', (index) => index.unlink(nameOf({ ...source, as: 'anonymous' }))],
    ['content comes', (index) => index.add(OTHER, 7)],
    ['the content goes', (index) => index.remove(DIGEST)],
    ['a tag is forgotten', (index) => index.forgetTag(nameOf(source), TAG)],
    ['all tags are', (index) => index.forgetTag(nameOf(source))],
    ['a tag is dropped', (index) => index.dropTag(nameOf(source), TAG, viaOf(source))],
    [
      'a tag leads somewhere',
      async (index) => {
        const { version } = await index.tag(nameOf(source), TAG, viaOf(source));
        await index.setTag(nameOf(source), TAG, viaOf(source), recordOf(0), version);
      },
    ],
    ['a registry refuses the gate', (index) => index.suspend(registry.name, true)],
  ])('once %s', async (_, write) => {
    const { cache, note, find } = await room();
    note();
    const before = find();

    await write(cache.index);

    expect([before?.digest, find()]).toEqual([DIGEST, undefined]);
  });

  it('not even from the moment at which a right is being taken back', async () => {
    const { permission, note, find } = await room();
    note();

    const refusing = permission.refused(source);

    expect(find()).toBeUndefined();
    await refusing;
  });

  it('where something was written while it was looked up', async () => {
    const { permission, answers, find } = await room();
    const generation = answers.generation(source)!;
    await permission.refused(source);

    answers.note(source, DIGEST, IMAGE, { generation, digest: DIGEST, mediaType: IMAGE });

    expect(find()).toBeUndefined();
  });

  it('once its bytes have left the memory, though they are still held', async () => {
    const { small, note, find } = await room({}, 4096);
    note();
    const before = find();

    // Of the memory half is for manifests; each counts with its entry.
    for (let each = 0; each < 4; each += 1) {
      const bytes = Buffer.alloc(400, each);
      await small.write(digestOf(bytes), bytes);
    }
    note();

    expect([before?.digest, find()]).toEqual([DIGEST, undefined]);
    expect(await small.sizeOf(DIGEST)).toBe(BYTES.length);
  });

  it('where nothing is kept in memory', async () => {
    const { note, find } = await room({}, 0);
    note();

    expect(find()).toBeUndefined();
  });
});

describe('what a tag led to', () => {
  const at = { reference: TAG };

  it('is found while its record may be believed', async () => {
    const { note, find } = await room();
    note(at, recordOf(TTL - 10_000));

    expect(find(at)?.digest).toBe(DIGEST);
  });

  it.each([
    ['is too old', TTL],
    ['comes from the future', -10_000],
  ])('is not where its record %s', async (_, age) => {
    const { note, find } = await room();
    note(at, recordOf(age));

    expect(find(at)).toBeUndefined();
  });

  it('is not once its record has become too old', async () => {
    const { note, find } = await room();
    const record = recordOf(0);
    note(at, record);
    const before = find(at);
    const now = jest.spyOn(Date, 'now').mockReturnValue(record.checkedAt + TTL);

    const found = find(at);
    now.mockRestore();

    expect([before?.digest, found]).toEqual([DIGEST, undefined]);
  });

  it('is believed for as long as the registry of now has it: its settings may have changed', async () => {
    const { note, find } = await room();
    note(at, recordOf(TTL / 2));
    const stricter = { ...source, registry: { ...registry, tagTtl: TTL / 4 } };

    expect([find(at)?.digest, find({ ...at, from: stricter })]).toEqual([DIGEST, undefined]);
  });
});

describe('while the index does not say all there is to say', () => {
  it('nothing is found, nor remembered: a right was taken back, and it could not be told', async () => {
    let away = true;
    const { cache, permission, answers, note, find } = await room({
      unlink: (...what) => (away ? broken() : cache.index.unlink(...what)),
    });
    note();
    await permission.refused({ ...source, repository: 'team/other' as RepositoryName });

    expect([permission.settled, find(), answers.generation(source)]).toEqual([
      false,
      undefined,
      undefined,
    ]);
    away = false;
  });

  it('nothing is found: a tag was forgotten, and it could not be told, until it can', async () => {
    let away = true;
    const held = await heldCache();
    const { tags, answers, note, find } = await room({
      forgetTag: (...what) => (away ? broken() : held.cache.index.forgetTag(...what)),
    });
    note();
    await tags.forget(nameOf(source), TAG);
    const meanwhile = [tags.settled, find(), answers.generation(source)];

    away = false;
    await tags.known(source, TAG);
    note();

    expect(meanwhile).toEqual([false, undefined, undefined]);
    expect([tags.settled, find()?.digest]).toEqual([true, DIGEST]);
  });

  it('nothing is found: the registry refuses the gate, and it could not be told', async () => {
    const { faults, permission, note, find } = await room({ suspend: broken });
    note();
    const before = find();

    faults.noteRefused(registry, ROBOT);

    expect([before?.digest, permission.settled, find()]).toEqual([DIGEST, false, undefined]);
  });

  it('nothing is found, from the very moment at which the registry refuses the gate', async () => {
    const { faults, note, find } = await room();
    note();

    faults.noteRefused(registry, ROBOT);

    expect(find()).toBeUndefined();
  });

  it('nothing is found of an index to which others write as well', async () => {
    const { cache, permission, tags, small } = await room();
    const shared = new Proxy(cache.index, {
      get: (index, name) =>
        name === 'generation' ? undefined : (Reflect.get(index, name, index) as unknown),
    });
    const answers = new ManifestsAtOnce({ ...cache, index: shared }, permission, tags, small);

    expect(answers.generation(source)).toBeUndefined();
  });

  it('nothing is found with CACHE=off', async () => {
    const { permission, tags, small } = await room();
    const answers = new ManifestsAtOnce(null, permission, tags, small);
    answers.note(source, DIGEST, IMAGE, { generation: 0, digest: DIGEST, mediaType: IMAGE });

    expect([answers.generation(source), answers.find(source, DIGEST, IMAGE)]).toEqual([
      undefined,
      undefined,
    ]);
  });
});

function linkOf(mediaType: string) {
  return { via: viaOf(source), mediaType };
}
