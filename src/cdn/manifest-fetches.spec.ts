/** Manifests from upstream: in whose words they are asked for, by HEAD or GET, and within what room. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { NAME } from '../../test/support/content-world';
import { answer, type Behaviour } from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';
import {
  described,
  FIRST,
  manifestWorld,
  MISS,
  OLD,
  SECOND,
  whole,
} from '../../test/support/manifest-world';
import {
  heldManifest,
  IMAGE,
  INDEX,
  SCHEMA_2,
  type HeldManifest,
} from '../../test/support/scripted-registry';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that buffers take, garbage left out. */
async function bytesInUse(): Promise<number> {
  collect();
  // What waits for a turn of the loop to be let go is let go by then.
  await new Promise((resolve) => setTimeout(resolve, 100));
  collect();
  return process.memoryUsage().arrayBuffers;
}

/** Sends a half of it and no more; notes when that was sent, and when it is given up. */
function halfOf({ bytes, mediaType }: HeldManifest, given: string[]): Behaviour {
  return (_request, response) => {
    const headers = { 'content-type': mediaType, 'content-length': bytes.length };
    response.writeHead(200, headers).write(bytes.subarray(1), () => given.push('half'));
    response.once('close', () => given.push('closed'));
  };
}

describe('what a client takes', () => {
  it('is asked for in the client’s own words where it is not what the tag is held as', async () => {
    const { ask, head, held, origin } = await manifestWorld();
    await held();
    origin.manifest(NAME, '1', FIRST, OLD);
    const told = 'tidegate; fwd=bypass';

    expect(await ask('1', { accept: SCHEMA_2 })).toMatchObject({ told, ...whole(OLD) });
    expect(await head('1', { accept: SCHEMA_2 })).toMatchObject({ told, ...described(OLD) });

    expect(origin.server.requests.map(({ headers }) => headers.accept)).toEqual([
      SCHEMA_2,
      SCHEMA_2,
    ]);
    expect((await ask('1')).digest).toBe(FIRST.digest);
  });

  it('is so for one who comes first, and those after get what the gate would ask for', async () => {
    const { ask, head, origin, isHeld } = await manifestWorld();
    origin.manifest(NAME, '1', FIRST, OLD);

    expect(await ask('1', { accept: SCHEMA_2 })).toMatchObject(whole(OLD));
    expect(await head('1', { accept: SCHEMA_2 })).toMatchObject(described(OLD));
    expect(await isHeld(OLD.digest)).toBe(false);
    expect(await ask('1')).toMatchObject(whole(FIRST));
  });

  it('is so when the tag has to be asked again', async () => {
    const { ask, head, held, origin } = await manifestWorld({ tagTtl: 0 });
    await held();
    origin.manifest(NAME, '1', FIRST, OLD);

    expect(await ask('1', { accept: SCHEMA_2 })).toMatchObject(whole(OLD));
    expect(await head('1', { accept: SCHEMA_2 })).toMatchObject(described(OLD));
  });

  it('may be a kind that the gate does not ask for, which a 404 to the gate says nothing of', async () => {
    const { ask, head, origin } = await manifestWorld();
    const artifact = heldManifest('{"a":1}', 'application/vnd.oci.artifact.manifest.v1+json');
    const { mediaType: accept } = artifact;
    origin.fault = ({ headers }) => (headers.accept === accept ? undefined : answer(404));
    origin.manifest(NAME, '1', artifact);

    expect((await ask('1')).code).toBe('MANIFEST_UNKNOWN');
    expect(await ask('1', { accept })).toMatchObject(whole(artifact));
    expect(await head('1', { accept })).toMatchObject(described(artifact));
    expect((await ask('1')).told).toBe('tidegate; hit; detail="negative"');
  });

  it('by digest is what there is of it', async () => {
    const { ask, held } = await manifestWorld();
    await held();

    expect(await ask(FIRST.digest, { accept: `${INDEX}, ${IMAGE};q=0.5` })).toMatchObject({
      told: 'tidegate; hit',
    });
    expect((await ask(FIRST.digest, { accept: INDEX })).told).not.toBe('tidegate; hit');
  });
});

describe('a HEAD', () => {
  it('of a tag starts no fetch, opens nothing, and is asked once for many', async () => {
    const { head, ask, origin, isHeld, away } = await manifestWorld();
    origin.manifest(NAME, '1', FIRST);

    const [first, second] = await Promise.all([head('1'), head('1')]);
    const third = await head('1');

    const told = 'tidegate; fwd=miss; fwd-status=200';
    expect([first?.told, second?.told, third.told]).toEqual([told, `${told}; collapsed`, told]);
    expect(third).toMatchObject(described(FIRST));
    expect(await isHeld(FIRST.digest)).toBe(false);
    // That a tag leads there is no right to it: the registry is asked each time.
    expect(origin.asked()).toHaveLength(2);
    away();
    expect((await ask('1')).code).toBe('BAD_UPSTREAM');
  });

  it('of a tag that is held and too old asks by HEAD alone', async () => {
    const { head, held, origin } = await manifestWorld({ tagTtl: 0 });
    await held();

    expect(await head('1')).toMatchObject({
      told: 'tidegate; fwd=stale; fwd-status=200',
      ...described(FIRST),
    });
    expect(origin.asked()).toHaveLength(1);
  });

  it.each(['1', FIRST.digest])('of %s that leaves out something is a GET', async (reference) => {
    const { head, origin } = await manifestWorld();
    origin.manifest(NAME, '1', FIRST);
    origin.fault = ({ method }) => (method === 'HEAD' ? answer(200) : undefined);

    expect(await head(reference)).toMatchObject({ told: MISS, ...described(FIRST) });
    expect(origin.asked('GET')).toHaveLength(1);
  });
});

describe('room in memory', () => {
  const noRoom = () => Promise.reject(new Error('no room'));

  it('is asked for before a manifest is read, from upstream or from what is held', async () => {
    const { ask, held, origin } = await manifestWorld();
    origin.manifest(NAME, '2', SECOND);
    await held();

    for (const reference of ['1', '2', FIRST.digest])
      await expect(ask(reference, { hold: noRoom })).rejects.toThrow('no room');
  });

  it('that one lacks is not lacking to those who joined', async () => {
    const { ask, origin } = await manifestWorld();
    origin.manifest(NAME, '1', FIRST);
    const go = Promise.withResolvers<void>();
    const first = ask('1', { hold: () => go.promise.then(noRoom) });
    await eventually('it is asked', () => origin.asked().length === 1);
    const others = [ask('1'), ask('1')];

    go.resolve();

    await expect(first).rejects.toThrow('no room');
    for (const other of others) expect((await other).digest).toBe(FIRST.digest);
    // One of them began anew, and the other joined that.
    expect(origin.asked()).toHaveLength(2);
  });
});

it('room that many lack in turn keeps nobody waiting for ever: it is asked for alone then', async () => {
  const { ask, origin } = await manifestWorld();
  origin.manifest(NAME, '1', FIRST);
  const go = Promise.withResolvers<void>();
  const hold = () => go.promise.then(() => Promise.reject(new Error('no room')));
  const lacking = Array.from({ length: 4 }, () => ask('1', { hold }));
  const outcomes = Promise.allSettled(lacking);
  await eventually('it is asked', () => origin.asked().length === 1);
  const last = ask('1');

  go.resolve();

  expect(await last).toMatchObject({ told: MISS, ...whole(FIRST) });
  expect((await outcomes).map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
});

describe('what was fetched, while those who joined wait for room', () => {
  const SIZE = 2 * 1024 * 1024;
  const TAGS = Array.from({ length: 8 }, (_, at) => `large-${at}`);

  it.each([
    ['is read from what is held', true, 1],
    ['is asked for by each', false, 2],
  ])('is not kept: then it %s', async (_, on, times) => {
    const { ask, origin, untilHeld } = await manifestWorld({ on });
    const digests = TAGS.map((tag) => {
      const manifest = heldManifest(Buffer.from(JSON.stringify({ tag: tag.padEnd(SIZE) })));
      origin.manifest(NAME, tag, manifest);
      return manifest.digest;
    });
    const before = await bytesInUse();
    const room = Promise.withResolvers<() => void>();
    const waiting: ReturnType<typeof ask>[] = [];

    for (const tag of TAGS) {
      const first = ask(tag);
      waiting.push(ask(tag, { hold: () => room.promise, holdNow: () => false }));
      await first;
    }
    // What is being written is kept for that.
    if (on) for (const digest of digests) await untilHeld(digest);
    const kept = (await bytesInUse()) - before;
    room.resolve(() => undefined);

    expect(kept).toBeLessThan(2 * SIZE);
    expect((await Promise.all(waiting)).map(({ digest }) => digest)).toEqual(digests);
    expect(origin.asked('GET')).toHaveLength(TAGS.length * times);
  });

  it('is given up with the room of whoever began it and left, and one of the others begins anew', async () => {
    const { ask, origin } = await manifestWorld();
    origin.manifest(NAME, '1', FIRST);
    const given: string[] = [];
    origin.fault = () => (given.length === 0 ? halfOf(FIRST, given) : undefined);
    const leaving = new AbortController();
    const first = ask('1', { signal: leaving.signal });
    const other = ask('1');
    await eventually('it has begun to come', () => given.includes('half'));

    leaving.abort(new Error('left'));
    await expect(first).rejects.toThrow('left');
    await eventually('it is given up', () => given.includes('closed'));

    expect(await other).toMatchObject(whole(FIRST));
    expect(origin.asked('GET')).toHaveLength(2);
  });
});

describe('with CACHE=off', () => {
  it('each is asked for, verified, and told to be none of the cache’s', async () => {
    const { ask, head, origin } = await manifestWorld({ on: false });
    origin.manifest(NAME, '1', FIRST);
    const told = 'tidegate; fwd=bypass; fwd-status=200';

    expect(await ask('1')).toMatchObject({ told, ...whole(FIRST) });
    expect(await ask(FIRST.digest)).toMatchObject({ told, ...whole(FIRST) });
    expect(await head('1')).toMatchObject({ told, ...described(FIRST) });
    expect((await ask('2')).code).toBe('MANIFEST_UNKNOWN');
    origin.manifest(NAME, '2', SECOND);
    expect((await ask('2')).digest).toBe(SECOND.digest);
    origin.fault = () => answer(200, SECOND.bytes, { 'content-type': IMAGE });
    expect((await ask(FIRST.digest)).code).toBe('BAD_UPSTREAM');
  });
});
