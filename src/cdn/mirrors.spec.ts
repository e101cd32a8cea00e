/** Content through mirrors: whose bytes are believed, and whom what a mirror hands out is for. */
import { contentOf } from '../../test/support/content-room';
import { contentStand } from '../../test/support/content-stand';
import {
  answer,
  corrupt,
  FaultServer,
  reset,
  resetAfter,
  truncate,
} from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';
import {
  heldManifest,
  IMAGE,
  INDEX,
  manifestOf,
  Pause,
  ROBOT,
  ScriptedRegistry,
  sendPart,
} from '../../test/support/scripted-registry';
import { registryAt } from '../../test/support/upstream-fixture';
import { ClientLogin, type Principal } from '../config/principal';
import { OciError } from '../oci/oci-error';

const MIB = 1024 * 1024;
const NAME = 'team/app';

interface WorldOptions {
  readonly tags?: boolean;
  readonly login?: boolean;
  readonly on?: boolean;
  readonly redirects?: 'follow' | 'pass';
}

/** A registry and a mirror of it, and content behind which both stand. */
async function world({
  tags = false,
  login = true,
  on = true,
  redirects = 'follow',
}: WorldOptions = {}) {
  const [origin, mirror] = await Promise.all([ScriptedRegistry.start(), ScriptedRegistry.start()]);
  const registry = registryAt(origin.server.url, {
    name: 'reg.example',
    credentials: login ? [ROBOT] : [],
    mirrors: [{ url: mirror.server.url, tags }],
    redirects,
  });
  const stand = await contentStand({ on, headerTimeout: 2_000 });
  const as = (principal: Principal, repository = NAME) => ({ registry, repository, as: principal });
  /** The registry is away from now on. */
  const away = () => {
    origin.fault = () => reset();
  };
  return {
    ...stand,
    registry,
    origin,
    mirror,
    as,
    away,
    robot: as('configured'),
    nobody: as('anonymous'),
  };
}

describe('a blob', () => {
  it('comes from the mirror, is verified, and held', async () => {
    const { origin, mirror, blob, robot, untilHeld, away } = await world();
    const { bytes, digest } = contentOf(2 * MIB);
    mirror.blob(NAME, bytes);

    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(origin.server.requests).toEqual([]);

    await untilHeld(digest);
    away();
    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(mirror.asked('GET')).toHaveLength(1);
  });

  it.each([true, false])(
    'that is wrong at the mirror breaks off, and the next try comes from the registry (cache %p)',
    async (on) => {
      const { origin, mirror, blob, robot, cache } = await world({ on });
      const { bytes, digest } = contentOf(2 * MIB);
      origin.blob(NAME, bytes);
      mirror.fault = () => corrupt(bytes, MIB);

      expect(await blob(robot, digest)).toBe('broken');
      if (on) {
        await eventually('the fetch is over', () => cache?.downloads.all.length === 0);
        expect(cache?.downloads.mismatches).toBe(1);
      }

      expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
      expect([mirror.asked('GET').length, origin.asked('GET').length]).toEqual([1, 1]);
    },
  );

  it('that is a page at the mirror is none, and the next try comes from the registry', async () => {
    const { origin, mirror, blob, robot, cache, isHeld } = await world();
    const { bytes, digest } = contentOf(1000);
    origin.blob(NAME, bytes);
    mirror.fault = () => answer(200, '<html>please log in</html>', { 'content-type': 'text/html' });

    expect(await blob(robot, digest)).toBe('broken');
    await eventually('the fetch is over', () => cache?.downloads.all.length === 0);
    expect(await isHeld(digest)).toBe(false);
    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
  });

  it('whose part the mirror gets wrong comes from the registry at once', async () => {
    const { origin, mirror, blob, robot } = await world();
    const { bytes, digest } = contentOf(1000);
    origin.blob(NAME, bytes);
    mirror.fault = () => answer(206, 'xxxx', { 'content-range': 'bytes 0-3/1000' });

    expect(await blob(robot, digest, 'bytes=100-199')).toEqual(bytes.subarray(100, 200));
  });

  it('that breaks off at the mirror goes on from the registry, and nobody notices', async () => {
    const { origin, mirror, blob, robot } = await world();
    const { bytes, digest } = contentOf(2 * MIB);
    origin.blob(NAME, bytes);
    mirror.fault = () => resetAfter(bytes, MIB);

    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(mirror.asked('GET')).toHaveLength(1);
    expect(origin.server.requests.at(-1)?.headers.range).toBeDefined();
  });

  it('that breaks off at the mirror goes on there while the registry is away', async () => {
    const { mirror, blob, robot, away } = await world();
    const { bytes, digest } = contentOf(2 * MIB);
    away();
    let asked = 0;
    mirror.fault = () =>
      (asked += 1) === 1
        ? truncate(bytes, MIB)
        : (request, response) => sendPart(bytes, request, response);

    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(asked).toBe(2);
  });

  it('that began wrong at the mirror, and went on from the registry, is the mirror’s fault', async () => {
    const { origin, mirror, blob, robot } = await world();
    const { bytes, digest } = contentOf(2 * MIB);
    origin.blob(NAME, bytes);
    mirror.fault = () => resetAfter(Buffer.alloc(bytes.length), MIB);

    expect(await blob(robot, digest)).toBe('broken');
    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(mirror.asked('GET')).toHaveLength(1);
  });

  it('that breaks off at the registry goes on at the mirror that has it by then', async () => {
    const { origin, mirror, blob, robot } = await world();
    const { bytes, digest } = contentOf(2 * MIB);
    origin.fault = () => resetAfter(bytes, MIB);
    mirror.fault = () => {
      mirror.fault = () => undefined;
      mirror.blob(NAME, bytes);
      return answer(404);
    };

    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
    expect([mirror.asked('GET').length, origin.asked('GET').length]).toEqual([2, 1]);
  });

  it('that is on its way to another name comes from the mirror while the registry cannot say', async () => {
    const { mirror, blob, robot, as, away, cache } = await world();
    const { bytes, digest } = contentOf(100_000);
    const pause = new Pause(bytes, 50_000);
    mirror.blob('team/other', bytes);
    mirror.fault = ({ url }) => (url.includes(NAME) ? pause.behaviour : undefined);
    away();
    const reading = blob(robot, digest);
    await eventually('it is on its way', () => cache?.downloads.all[0]?.received === 50_000);

    expect(await blob(as('configured', 'team/other'), digest)).toEqual(bytes);

    pause.goOn();
    expect(await reading).toEqual(bytes);
  });

  it('is asked about by itself, however many are asked about', async () => {
    const { mirror, blobSize, robot } = await world();
    const [one, other] = [contentOf(1000), contentOf(2000)];
    mirror.blob(NAME, one.bytes);
    mirror.blob(NAME, other.bytes);

    const sizes = [one, other, other].map(({ digest }) => blobSize(robot, digest));

    expect(await Promise.all(sizes)).toEqual([1000, 2000, 2000]);
    expect(mirror.asked('HEAD')).toHaveLength(2);
  });

  it('has its size told by the mirror, which opens nothing', async () => {
    const { origin, mirror, blobSize, robot } = await world();
    const { bytes, digest } = contentOf(1000);
    mirror.blob(NAME, bytes);

    expect(await blobSize(robot, digest)).toBe(1000);
    expect(origin.server.requests).toEqual([]);
  });

  it('is the client’s to fetch where redirects are passed: a mirror’s redirect is not passed', async () => {
    const { origin, mirror, blob, robot } = await world({ redirects: 'pass' });
    const { bytes, digest } = contentOf(1000);
    origin.fault = () => answer(307, '', { location: 'https://content.example/x' });
    mirror.fault = () => answer(307, '', { location: 'https://evil.example/x' });
    expect(await blob(robot, digest)).toBe('https://content.example/x');

    mirror.fault = () => undefined;
    mirror.blob(NAME, bytes);
    expect(await blob(robot, digest)).toEqual(bytes);
  });
});

describe('a manifest', () => {
  it('comes from the mirror by digest, and by tag from the registry', async () => {
    const { origin, mirror, manifest, robot } = await world();
    const held = manifestOf([Buffer.from('layer')]);
    const old = manifestOf([Buffer.from('old layer')]);
    origin.manifest(NAME, '1', held);
    mirror.manifest(NAME, '1', old);
    mirror.manifest(NAME, undefined, held);

    expect(await manifest(robot, held.digest)).toBe(held.bytes.toString());
    expect(origin.server.requests).toEqual([]);
    expect(await manifest(robot, '1')).toBe(held.bytes.toString());
    expect(mirror.asked('manifests/1')).toEqual([]);
  });

  it('comes from the mirror by tag where it may tell, and is held', async () => {
    const { origin, mirror, manifest, manifestHead, robot, away } = await world({ tags: true });
    const held = manifestOf([Buffer.from('layer')]);
    mirror.manifest(NAME, '1', held);

    expect(await manifestHead(robot, '1')).toBe(`${held.digest} ${held.bytes.length}`);
    expect(await manifest(robot, '1')).toBe(held.bytes.toString());
    expect(origin.server.requests).toEqual([]);
    away();
    expect(await manifest(robot, '1')).toBe(held.bytes.toString());
  });

  it.each([
    ['something else', () => answer(200, 'else', { 'content-type': IMAGE })],
    ['a page', () => answer(200, '<html/>', { 'content-type': 'text/html' })],
    ['half of it', () => truncate(Buffer.alloc(200), 100)],
    [
      'it under another type',
      () => {
        const { bytes } = manifestOf([Buffer.from('layer')]);
        return answer(200, bytes, { 'content-type': INDEX });
      },
    ],
  ])('is asked of the registry at once where the mirror sends %s', async (_what, wrong) => {
    const { origin, mirror, manifest, robot } = await world();
    const held = manifestOf([Buffer.from('layer')]);
    origin.manifest(NAME, undefined, held);
    mirror.fault = wrong;

    expect(await manifest(robot, held.digest)).toBe(held.bytes.toString());
    expect([mirror.asked('GET').length, origin.asked('GET').length]).toEqual([1, 1]);
    expect(await manifest({ ...robot, repository: 'team/other' }, held.digest)).toBe(
      'MANIFEST_UNKNOWN',
    );
    expect(mirror.asked('GET')).toHaveLength(1);
  });
});

describe('a manifest that does not say of which type it is', () => {
  const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';

  it.each([
    ['an index', { manifests: [] }, INDEX, true],
    ['an index with a parameter', { manifests: [] }, `${INDEX} ; charset=utf-8`, true],
    ['a list', { manifests: [] }, LIST, true],
    ['an image', { layers: [] }, IMAGE, true],
    ['an index as an image', { manifests: [] }, IMAGE, false],
    ['an image as an index', { layers: [] }, INDEX, false],
    ['an image as a list', { layers: [] }, LIST, false],
    ['nothing', null, IMAGE, false],
    ['a number', 5, IMAGE, false],
  ])('is taken of a mirror by what it holds: %s', async (_what, document, type, taken) => {
    const { origin, mirror, manifest, robot } = await world();
    const held = heldManifest(JSON.stringify(document), type);
    origin.manifest(NAME, undefined, held);
    mirror.manifest(NAME, undefined, held);

    expect(await manifest(robot, held.digest)).toBe(held.bytes.toString());

    expect(origin.asked('GET')).toHaveLength(taken ? 0 : 1);
  });
});

describe('S9: what a mirror hands out', () => {
  /** A mirror with a login of its own at the registry, that looks at no names: everybody gets everything. */
  async function careless(options: WorldOptions = {}) {
    const room = await world(options);
    const { bytes, digest } = contentOf(100_000);
    const held = manifestOf([bytes]);
    room.origin.close(NAME);
    room.origin.blob(NAME, bytes);
    room.origin.manifest(NAME, '1', held);
    room.mirror.fault = ({ url }) =>
      url.includes('/manifests/')
        ? answer(200, held.bytes, { 'content-type': IMAGE, 'docker-content-digest': held.digest })
        : (request, response) => sendPart(bytes, request, response);
    return { ...room, bytes, digest, image: held };
  }

  it.each([false, true])(
    'is for nobody in particular only where the registry shows it to everybody (held: %p)',
    async (heldBefore) => {
      const { blob, blobSize, manifest, manifestHead, nobody, robot, digest, image, untilHeld } =
        await careless({ tags: true });
      if (heldBefore) {
        await blob(robot, digest);
        await manifest(robot, image.digest);
        await untilHeld(digest);
        await untilHeld(image.digest);
      }

      expect([
        await blob(nobody, digest),
        await blob(nobody, digest, 'bytes=0-9'),
        await blob(nobody, digest, 'bytes=-9'),
        await blobSize(nobody, digest),
        await manifest(nobody, image.digest),
        await manifest(nobody, '1'),
        await manifestHead(nobody, image.digest),
        await manifestHead(nobody, '1'),
      ]).toEqual(Array(8).fill('DENIED'));
    },
  );

  it('is for a client with a login of its own only where the registry shows it to that login', async () => {
    const { blob, blobSize, manifest, mirror, origin, as, digest, image, bytes, registry } =
      await careless({ tags: true, login: false });
    const stranger = as(new ClientLogin(registry.name, 'Basic c3RyYW5nZXI6eA=='));
    origin.server.owns('Basic c3RyYW5nZXI6eA==');
    const member = as(new ClientLogin(registry.name, origin.opensWith));

    expect([
      await blob(stranger, digest),
      await blobSize(stranger, digest),
      await manifest(stranger, image.digest),
      await manifest(stranger, '1'),
    ]).toEqual(Array(4).fill('UNAUTHORIZED'));
    expect(mirror.server.requests).toEqual([]);

    expect(((await blob(member, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(await manifest(member, image.digest)).toBe(image.bytes.toString());
    expect(origin.asked('GET', 'sha256')).toEqual([]);
    expect(mirror.asked('GET')).toHaveLength(2);
  });

  it('is not read along with by those to whom the registry does not show it', async () => {
    const { blob, robot, nobody, as, digest, bytes, mirror, cache } = await careless();
    const pause = new Pause(bytes, 50_000);
    mirror.fault = ({ method }) => (method === 'GET' ? pause.behaviour : answer(200));
    const reading = blob(robot, digest);
    await eventually('it is on its way', () => cache?.downloads.all[0]?.received === 50_000);

    expect(await blob(nobody, digest, 'bytes=0-9')).toBe('DENIED');
    expect(await blob(as('configured', 'team/other'), digest, 'bytes=0-9')).toBe('BLOB_UNKNOWN');

    pause.goOn();
    expect(((await reading) as Buffer).equals(bytes)).toBe(true);
  });

  it('is held for the accounts of the gate, and for nobody else', async () => {
    const { blob, robot, nobody, digest, bytes, origin, untilHeld } = await careless();

    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
    await untilHeld(digest);
    expect(origin.server.requests).toEqual([]);
    expect(await blob(nobody, digest)).toBe('DENIED');
    expect(((await blob(robot, digest)) as Buffer).equals(bytes)).toBe(true);
  });

  it('is for everybody where the gate has no account there: it can show nobody more', async () => {
    const { blob, nobody, digest, bytes, origin } = await careless({ login: false });

    expect(((await blob(nobody, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(origin.server.requests).toEqual([]);
  });

  it('does not open what is held: a mirror that says yes to everything hands out nothing', async () => {
    const { origin, mirror, blob, blobSize, manifest, robot, as, untilHeld } = await world();
    const { bytes, digest } = contentOf(100_000);
    const image = manifestOf([bytes]);
    origin.blob(NAME, bytes);
    origin.manifest(NAME, undefined, image);
    await blob(robot, digest);
    await manifest(robot, image.digest);
    await untilHeld(digest);
    await untilHeld(image.digest);
    const other = as('configured', 'team/other');
    const lengths = { 'content-length': bytes.length, 'docker-content-digest': digest };
    mirror.fault = ({ method, url }) => {
      if (method !== 'HEAD') return answer(404);
      const size = image.bytes.length;
      return url.includes('/manifests/')
        ? answer(200, '', { 'content-length': size, 'content-type': IMAGE })
        : answer(200, '', lengths);
    };

    // It may say what it likes of what it would hand out.
    expect(await blobSize(other, digest)).toBe(bytes.length);
    expect(await blob(other, digest)).toBe('BLOB_UNKNOWN');
    expect(await manifest(other, image.digest)).toBe('MANIFEST_UNKNOWN');
  });

  it('does not open what came to be held while it spoke', async () => {
    const { origin, mirror, manifest, manifestHead, robot, as, untilHeld } = await world();
    const image = manifestOf([Buffer.from('layer')]);
    const [size, other] = [image.bytes.length, as('configured', 'team/other')];
    origin.manifest(NAME, undefined, image);
    const spoken = Promise.withResolvers<void>();
    mirror.fault = ({ method }) =>
      method === 'HEAD'
        ? (request, response, seen) =>
            spoken.promise.then(() =>
              answer(200, '', { 'content-length': size, 'content-type': IMAGE })(
                request,
                response,
                seen,
              ),
            )
        : answer(404);
    const told = manifestHead(other, image.digest);
    await eventually('the mirror is asked', () => mirror.asked('HEAD').length === 1);

    await manifest(robot, image.digest);
    await untilHeld(image.digest);
    spoken.resolve();

    expect(await told).toBe(`${image.digest} ${size}`);
    expect(await manifest(other, image.digest)).toBe('MANIFEST_UNKNOWN');
  });

  it('serves what another name holds already, too, while the registry is away', async () => {
    const { mirror, blob, manifest, robot, as, away, untilHeld, cache } = await world();
    const { bytes, digest } = contentOf(100_000);
    const image = manifestOf([bytes]);
    for (const name of [NAME, 'team/other']) {
      mirror.blob(name, bytes);
      mirror.manifest(name, undefined, image);
    }
    away();
    await blob(robot, digest);
    await manifest(robot, image.digest);
    await untilHeld(digest);
    await untilHeld(image.digest);
    const other = as('configured', 'team/other');

    expect(((await blob(other, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(await manifest(other, image.digest)).toBe(image.bytes.toString());
    const mirrored = mirror.server.requests.length;

    await eventually('it is linked', async () => {
      const links = await cache?.index.links('reg.example/team/other' as never, digest);
      return links?.length === 1;
    });
    expect(((await blob(other, digest)) as Buffer).equals(bytes)).toBe(true);
    expect(mirror.server.requests).toHaveLength(mirrored);
  });
});

it('a registry without mirrors is asked as it ever was', async () => {
  const server = await FaultServer.start({ handler: answer(404) });
  const { blob, content, sourceOf, reader } = await contentStand();
  const asked = { registry: registryAt(server.url) };
  const { digest } = contentOf(10);

  expect(await blob(asked, digest)).toBe('BLOB_UNKNOWN');
  const request = { method: 'GET', range: undefined } as const;
  await expect(content.blob(sourceOf(asked), digest, request, reader())).rejects.toThrow(OciError);
  expect(server.requests.map(({ method }) => method)).toEqual(['GET', 'GET']);
  await server.close();
});
