import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NOWHERE, startDockerd, strict, type Docker } from '../support/clients';
import { imageOf, layersWith } from '../support/images';
import { install, setupOf, startManyStand, type ManyStand } from '../support/many-registries';
import { contentAsked } from '../support/registry-blobs';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

describeWith(
  ['docker-registry', 'docker', 'dockerd'],
  'a docker engine with the daemon.json that the gate gives',
  () => {
    const images = { hub: imageOf(layersWith(100_000)), ghcr: imageOf(layersWith(100_000)) };
    let stand: ManyStand<'hub' | 'ghcr'>;
    let engine: Docker;

    beforeAll(async () => {
      const open = { ANONYMOUS_ACCESS: 'pull' };
      stand = await startManyStand({ hub: { name: 'docker.io' }, ghcr: { name: 'ghcr.io' } }, open);
      await seed(stand.upstreams.hub, 'team/app', '1', images.hub);
      await seed(stand.upstreams.ghcr, 'team/app', '1', images.ghcr);
      const settings = { ...(await daemonJson(ELSEWHERE)), ...(await daemonJson(stand.gate.host)) };
      engine = await startDockerd(settings, NOWHERE);
    });

    /** The file that the gate gives to whoever asks it by that Host. */
    async function daemonJson(host: string): Promise<object> {
      const root = install(await setupOf(stand.gate, 'docker', host));
      return JSON.parse(readFileSync(join(root, 'etc/docker/daemon.json'), 'utf8')) as object;
    }

    /** Pulls by the usual name, as one who has nothing. */
    async function pull(): Promise<string> {
      const { output } = await engine.docker('pull', 'team/app:1');
      await engine.docker('rmi', 'team/app:1');
      return output;
    }

    it('pulls an image of docker.io through the gate, by its usual name and without a login', async () => {
      const digest = `Digest: ${images.hub.digest}`;

      expect(await pull()).toContain(digest);
      expect(await pull()).toContain(digest);

      const asked = await contentAsked(stand.upstreams.hub, '/team/app/');
      for (const blob of images.hub.blobs.keys())
        expect(asked.filter((each) => each === `GET blobs/${blob}`)).toHaveLength(1);
      expect((await contentAsked(stand.upstreams.ghcr)).filter(isGet)).toEqual([]);
    });

    it('has leave to speak plain HTTP where it needs some', async () => {
      const info = await strict(engine.docker)('info', '--format', '{{json .RegistryConfig}}');

      const { Mirrors, IndexConfigs } = JSON.parse(info) as RegistryConfig;
      expect(Mirrors).toEqual([`${stand.gate.url}/`]);
      expect(IndexConfigs[ELSEWHERE]).toMatchObject({ Secure: false });
    });

    it('shows a mirror no login, so that a gate that asks for one is of no use as such', async () => {
      const { gate } = stand;
      await gate.restart({ env: { ANONYMOUS_ACCESS: 'none' } });
      const { username, password } = await gate.addAccount();
      const { commands } = await setupOf(gate, 'docker');
      const docker = strict(engine.docker);
      const login = commands
        .find((line) => line.startsWith('docker login '))!
        .split(' ')
        .slice(1);
      await docker(...login, '--username', username, '--password', password);

      const before = gate.logs().length;
      const refused = await pull();
      const asked = gate.logs().slice(before);

      expect(refused).not.toContain('Digest:');
      expect(asked.filter(({ status }) => status === 401).map(({ noun }) => noun)).toEqual([
        'base',
        'token',
      ]);
      expect(asked.filter(({ account }) => account !== undefined)).toEqual([]);
    });

    it('pulls with its login by the names that the gate gives, of every registry', async () => {
      const { commands } = await setupOf(stand.gate, 'docker');
      const docker = strict(engine.docker);
      const begin = commands.flatMap(
        (line) => /^docker pull (\S+)\/\w+\/\w+:\w+$/.exec(line)?.[1] ?? [],
      );

      // The registries that are built in follow; they are not on this machine.
      const ways = begin.slice(0, 3);
      const pulled = await Promise.all(ways.map((each) => docker('pull', `${each}/team/app:1`)));

      const { hub, ghcr } = images;
      const { host } = stand.gate;
      expect(ways).toEqual([host, `${host}/docker.io`, `${host}/ghcr.io`]);
      expect(pulled.map((text) => /Digest: (\S+)/.exec(text)?.[1])).toEqual([
        hub.digest,
        hub.digest,
        ghcr.digest,
      ]);
    });
  },
);

/** Not a loopback address by its form: docker needs leave to speak plain HTTP there. */
const ELSEWHERE = 'gate.example.com:8080';

const isGet = (line: string): boolean => line.startsWith('GET ');

interface RegistryConfig {
  Mirrors: string[];
  IndexConfigs: Record<string, { Secure: boolean }>;
}
