import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheFolder } from '../support/cache-folder';
import {
  containerTool,
  skopeo,
  startContainerd,
  startDockerd,
  strict,
  type Client,
  type Docker,
} from '../support/clients';
import { startGate, type Gate } from '../support/gate';
import type { Account } from '../support/http';
import { imageOf, indexOf, layersWith, MIB, type Image, type Layer } from '../support/images';
import { eventually, freshFolder } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { contentAsked } from '../support/registry-blobs';
import { seed, startStand, visit } from '../support/stand';
import { describeWith } from '../support/tools';

/** What it is to pull with one client: again and again, each time as one that has nothing. */
interface Puller {
  /** @param architecture of an index; else whatever is there. @throws when the client fails. */
  pull(gate: Gate, account: Account, image: string, architecture?: string): Promise<void>;
}

const NAMES = ['docker', 'containerd', 'podman', 'skopeo'] as const;
type Name = (typeof NAMES)[number];

const NEEDED = {
  docker: ['docker', 'dockerd'],
  containerd: ['containerd', 'ctr'],
  podman: ['podman'],
  skopeo: ['skopeo'],
} as const;

async function pullerOf(name: Name): Promise<Puller> {
  switch (name) {
    case 'docker':
      return dockerPuller(await startDockerd());
    case 'containerd':
      return containerdPuller(await startContainerd());
    case 'podman':
      return podmanPuller();
    case 'skopeo':
      return skopeoPuller();
    default:
      return name satisfies never;
  }
}

function dockerPuller(engine: Docker): Puller {
  return {
    async pull(gate, { username, password }, image, architecture) {
      const docker = strict(engine.anotherUser());
      await docker('login', '--username', username, '--password', password, gate.host);
      const platform = architecture ? ['--platform', `linux/${architecture}`] : [];
      await docker('pull', ...platform, `${gate.host}/${image}`);
      // Its layers go with it: the next pull needs them all.
      await docker('rmi', '--force', `${gate.host}/${image}`);
    },
  };
}

function containerdPuller(ctr: Client): Puller {
  return {
    async pull(gate, { username, password }, image, architecture = 'amd64') {
      const name = `${gate.host}/${image}`;
      const wire = ['--plain-http', '--user', `${username}:${password}`];
      const platform = ['--platform', `linux/${architecture}`, '--snapshotter', 'native'];
      await strict(ctr)('images', 'pull', ...wire, ...platform, name);
      await strict(ctr)('images', 'rm', '--sync', name);
    },
  };
}

function podmanPuller(): Puller {
  return {
    async pull(gate, { username, password }, image, architecture) {
      const podman = strict(containerTool('podman'));
      await podman('login', '--tls-verify=false', '-u', username, '-p', password, gate.host);
      const platform = architecture ? ['--arch', architecture] : [];
      await podman('pull', '--tls-verify=false', ...platform, `${gate.host}/${image}`);
    },
  };
}

function skopeoPuller(): Puller {
  return {
    async pull(gate, { username, password }, image, architecture) {
      const client = strict(skopeo());
      const out = freshFolder('skopeo');
      const creds = ['--src-creds', `${username}:${password}`, '--src-tls-verify=false'];
      const platform = architecture ? ['--override-arch', architecture] : [];
      await client(...platform, 'copy', ...creds, `docker://${gate.host}/${image}`, `dir:${out}`);
      rmSync(out, { recursive: true });
    },
  };
}

/** Resolves when all of the image's own blobs, and its manifest, are held. */
async function allHeld(gate: Gate, image: Image): Promise<void> {
  const wanted = [image.digest, ...image.blobs.keys()];
  await eventually('all of the image is held', () => {
    const held = new Set(new CacheFolder(gate).digests());
    return (
      wanted.every((digest) => held.has(digest)) && new CacheFolder(gate).spools().length === 0
    );
  });
}

async function seedIndex(registry: Registry, repository: string, images: Record<string, Image>) {
  for (const image of Object.values(images)) await seed(registry, repository, image.digest, image);
  const index = indexOf(images);
  await seed(registry, repository, '1', { ...index, blobs: new Map() });
  return index;
}

describe.each(NAMES)('with %s', (name) => {
  describeWith(['docker-registry', 'openssl', ...NEEDED[name]], 'a developer', () => {
    let puller: Puller;

    beforeAll(async () => {
      puller = await pullerOf(name);
    });

    describe.each(['none', 'token'] as const)('before an upstream with login: %s', (auth) => {
      it('pulls a second time with one HEAD upstream at most, and then with the upstream stopped', async () => {
        const { gate, registry } = await startStand(auth, { CACHE_TAG_TTL: '2s' });
        const account = await gate.addAccount();
        const image = imageOf(layersWith(8 * MIB));
        await seed(registry, 'team/app', '1', image);
        const seeded = (await contentAsked(registry)).length;
        await puller.pull(gate, account, 'team/app:1');
        await allHeld(gate, image);
        const first = (await contentAsked(registry)).slice(seeded);
        await sleep(2_100); // the tag has to be asked again

        await puller.pull(gate, account, 'team/app:1');
        const second = (await contentAsked(registry)).slice(seeded + first.length);
        await registry.stop();
        await puller.pull(gate, account, 'team/app:1');

        const layers = [...image.blobs.keys()].map((digest) => `GET blobs/${digest}`);
        expect(first.filter((line) => line.startsWith('GET blobs/')).sort()).toEqual(layers.sort());
        expect(second).toEqual(['HEAD manifests/1']);
      });

      it('pulls a second time without asking upstream at all while the tag is fresh', async () => {
        const { gate, registry } = await startStand(auth, { CACHE_TAG_TTL: '1h' });
        const account = await gate.addAccount();
        const image = imageOf(layersWith(1000));
        await seed(registry, 'team/app', '1', image);
        await puller.pull(gate, account, 'team/app:1');
        await allHeld(gate, image);
        const before = await contentAsked(registry);

        await puller.pull(gate, account, 'team/app:1');

        expect((await contentAsked(registry)).slice(before.length)).toEqual([]);
      });

      it('pulls both platforms of an index with the upstream stopped, once both were pulled', async () => {
        const { gate, registry } = await startStand(auth);
        const account = await gate.addAccount();
        const images = {
          amd64: imageOf(layersWith(MIB)),
          arm64: imageOf(layersWith(MIB), 'arm64'),
        };
        const index = await seedIndex(registry, 'team/two', images);
        for (const architecture of ['amd64', 'arm64'])
          await puller.pull(gate, account, 'team/two:1', architecture);
        await allHeld(gate, index);

        await registry.stop();

        const pullBoth = async () => {
          for (const architecture of ['amd64', 'arm64'])
            await puller.pull(gate, account, 'team/two:1', architecture);
        };
        await expect(pullBoth()).resolves.toBeUndefined();
        await gate.restart({ signal: 'SIGKILL' });
        await expect(pullBoth()).resolves.toBeUndefined();
      });
    });
  });
});

describeWith(['docker-registry', 'openssl', 'skopeo'], 'images that share layers', () => {
  it.each(['none', 'token'] as const)(
    'are both there with the upstream stopped (login upstream: %s), once the manifests of both were pulled and the layers of one',
    async (auth) => {
      const { gate, registry } = await startStand(auth);
      const account = await gate.addAccount();
      const shared: Layer[] = layersWith(MIB);
      const [one, other] = [imageOf(shared), imageOf(shared.toReversed())];
      await seed(registry, 'team/one', '1', one);
      await seed(registry, 'team/other', '1', other);
      await skopeoPuller().pull(gate, account, 'team/one:1');
      await allHeld(gate, one);
      const [own] = [...other.blobs.keys()].filter((digest) => !one.blobs.has(digest));
      const layers = [...one.blobs.keys()].filter((digest) => other.blobs.has(digest));
      const who = await visit(gate, account, 'team/other', 'pull');

      await who.ask('/v2/team/other/manifests/1', { headers: { accept: other.mediaType } });
      await who.ask(`/v2/team/other/blobs/${own}`);
      await eventually('the registry was asked for each layer', async () => {
        const asked = (await contentAsked(registry, 'team/other')).filter((line) =>
          layers.some((digest) => line === `HEAD blobs/${digest}`),
        );
        return new Set(asked).size === layers.length;
      });
      await eventually('its own configuration is held', () => {
        return new CacheFolder(gate).digests().includes(own ?? '');
      });
      await registry.stop();

      await skopeoPuller().pull(gate, account, 'team/other:1');
      const got = await contentOf(gate, account, 'team/other', layers);
      expect(got).toEqual(layers.map(() => 200));
      const stranger = await contentOf(gate, account, 'team/third', layers);
      expect(stranger).toEqual(layers.map(() => 503));
    },
  );

  async function contentOf(gate: Gate, account: Account, repository: string, digests: string[]) {
    const who = await visit(gate, account, repository, 'pull');
    const answers = await Promise.all(
      digests.map((digest) => who.ask(`/v2/${repository}/blobs/${digest}`)),
    );
    return answers.map(({ status }) => status);
  }
});

describeWith(['docker-registry', 'openssl', 'skopeo'], 'two gates before one registry', () => {
  it('hold each their own: what one holds the other has to fetch', async () => {
    const registry = await startRegistry();
    const [one, two] = [await startGate(registry.settings), await startGate(registry.settings)];
    const image = imageOf(layersWith(1000));
    await seed(registry, 'team/app', '1', image);
    for (const gate of [one, two]) {
      await skopeoPuller().pull(gate, await gate.addAccount(), 'team/app:1');
      await allHeld(gate, image);
    }

    const asked = await contentAsked(registry);
    await registry.stop();
    for (const gate of [one, two])
      await skopeoPuller().pull(gate, await gate.addAccount(), 'team/app:1');

    for (const digest of image.blobs.keys())
      expect(asked.filter((line) => line === `GET blobs/${digest}`)).toHaveLength(2);
  });
});
