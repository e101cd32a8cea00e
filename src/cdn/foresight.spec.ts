/** What a pulled manifest names, and is held already through other names, is asked for: the next outage may be tonight. */
import { contentOf } from '../../test/support/content-room';
import { contentWorld, NAME } from '../../test/support/content-world';
import { answer } from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';
import {
  heldManifest,
  INDEX,
  manifestOf,
  type HeldManifest,
} from '../../test/support/scripted-registry';
import { ClientLogin, type Principal } from '../config/principal';

const OTHER = 'team/other';

/** A layer that is held through one name, and an image of another name that has it as well. */
async function shared(options: Parameters<typeof contentWorld>[0] = {}) {
  const room = await contentWorld(options);
  const { origin, askManifest, held, of } = room;
  const { bytes, digest } = await held(1000);
  const image = manifestOf([bytes]);
  origin.manifest(OTHER, '1', image);
  origin.blob(OTHER, bytes);
  /** The other name's image, as it is pulled. */
  const pull = (manifest: HeldManifest = image, as: Principal = 'configured') => {
    origin.manifest(OTHER, '1', manifest);
    return askManifest('1', { source: of(OTHER, as) });
  };
  const linked = (linkedDigest: string = digest) =>
    eventually('it is linked', async () => {
      const links = await room.cache?.index.links(
        `reg.example/${OTHER}` as never,
        linkedDigest as never,
      );
      return links?.length === 1;
    });
  /** All that the pull set off has been asked for by then. */
  const settled = async () => {
    const last = room.blob(500, NAME, OTHER);
    await room.ask(last.digest);
    await room.untilHeld(last.digest);
    const index = heldManifest(
      JSON.stringify({ layers: [{ digest: last.digest }], note: last.digest }),
    );
    const tag = last.digest.slice(-8);
    origin.manifest(OTHER, tag, index);
    await askManifest(tag, { source: of(OTHER) });
    await linked(last.digest);
  };
  return { ...room, bytes, digest, image, pull, linked, settled };
}

it('a layer that another name has is there when the registry is away', async () => {
  const { origin, ask, of, digest, bytes, pull, linked } = await shared();
  await pull();
  await linked();
  origin.fault = () => answer(503);

  const got = await ask(digest, undefined, { source: of(OTHER) });

  expect([got.told, got.bytes]).toEqual(['tidegate; hit', bytes]);
  expect(origin.asked(OTHER, 'blobs')).toEqual([`HEAD /v2/${OTHER}/blobs/${digest}`]);
});

it('so is a config, and an image of an index', async () => {
  const { origin, askManifest, pull, linked, blob, ask, of } = await shared();
  const config = blob(700, NAME, OTHER);
  await ask(config.digest);
  const image = manifestOf([Buffer.from('inner')]);
  origin.manifest(NAME, 'inner', image);
  origin.manifest(OTHER, undefined, image);
  await askManifest('inner');
  await eventually('both are held', async () => {
    const told = [(await ask(config.digest)).told, (await askManifest(image.digest)).told];
    return told.every((line) => line === 'tidegate; hit');
  });

  const index = { manifests: [{ digest: image.digest }], config: { digest: config.digest } };
  await pull(heldManifest(JSON.stringify(index), INDEX));
  await linked(config.digest);
  await linked(image.digest);
  origin.fault = () => answer(503);

  expect((await askManifest(image.digest, { source: of(OTHER) })).told).toBe('tidegate; hit');
});

it('what is not held is not asked for, nor what is linked already, nor what lies elsewhere', async () => {
  const { origin, pull, settled, bytes, held, linked } = await shared();
  const foreign = await held(900);
  origin.blob(OTHER, foreign.bytes);
  const layers = [
    { digest: contentOf(10).digest },
    { digest: foreign.digest, urls: ['https://elsewhere.example/'] },
    { digest: 'sha256:../../etc' },
    { digest: manifestOf([bytes]).digest },
  ];
  await pull();
  await linked();
  origin.server.requests.length = 0;

  await pull(
    heldManifest(JSON.stringify({ layers: [...layers, { digest: foreign.digest, urls: ['x'] }] })),
  );
  await settled();

  expect(origin.asked('HEAD', OTHER)).toHaveLength(1);
});

it('a no is not asked for again so soon', async () => {
  const { origin, pull, settled, digest, content, of } = await shared();
  origin.remove(OTHER, digest);
  await pull();
  await settled();
  const asked = origin.asked('HEAD', OTHER, digest).length;

  await content.pushed(of(OTHER), '1' as never);
  await pull();
  await settled();

  expect([asked, origin.asked('HEAD', OTHER, digest).length]).toEqual([1, 1]);
});

it('a client’s own login sets nothing off: what it may see is known for a minute', async () => {
  const { origin, pull, settled, digest } = await shared();

  const got = await pull(undefined, new ClientLogin('reg.example', undefined));
  await settled();

  expect(got.told).toContain('fwd=miss');
  expect(origin.asked('HEAD', OTHER, digest)).toEqual([]);
});

it('what is served from here, or of old, sets nothing off', async () => {
  const { origin, pull, settled, digest, cache, askManifest, of } = await shared({ tagTtl: 0 });
  await pull();
  await settled();
  const name = `reg.example/${OTHER}` as never;
  await cache?.index.unlink(name, { digest: digest as never });
  origin.server.requests.length = 0;
  origin.fault = ({ url }) => (url.includes('/manifests/1') ? answer(503) : undefined);

  const stale = await askManifest('1', { source: of(OTHER) });
  origin.fault = () => undefined;
  await settled();

  expect(stale.warning).toContain('stale');
  expect(origin.asked('HEAD', digest)).toEqual([]);
});
