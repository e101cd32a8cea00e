/** What the README of docker-io-proxy has its users type, at a gate with PRESET=docker-io-proxy. */
import { join } from 'node:path';
import { containerTool, NOWHERE, startDockerd, strict } from '../support/clients';
import { freePort } from '../support/free-port';
import { bearer, send, sha256, type TokenAnswer } from '../support/http';
import { imageOf, indexOf, layersWith } from '../support/images';
import { freshFolder } from '../support/lifecycle';
import { Service } from '../support/processes';
import { startRegistry } from '../support/registry';
import { configFile } from '../support/several-registries';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const MAIN = join(__dirname, '../../dist/main.js');
const REPOSITORY = '1panel/openresty';
const TAG = '1.27.1.2-0-1-focal';

interface Manifest {
  readonly manifests: readonly { digest: string; platform: { architecture: string } }[];
  readonly config: { digest: string };
  readonly layers: readonly { digest: string }[];
}

describeWith(
  ['docker-registry', 'docker', 'dockerd', 'podman'],
  'PRESET=docker-io-proxy does what its README says',
  () => {
    const amd64 = imageOf(layersWith(20_000));
    const arm64 = imageOf(layersWith(20_000), 'arm64');
    const index = indexOf({ amd64, arm64 });
    let host: string;

    // java -jar target/docker-io-proxy-1.0.0.jar --server.port=8004
    beforeAll(async () => {
      const hub = await startRegistry();
      for (const image of [amd64, arm64]) await seed(hub, REPOSITORY, image.digest, image);
      await seed(hub, REPOSITORY, TAG, { ...index, blobs: new Map() });
      const port = await freePort();
      host = `127.0.0.1:${port}`;
      const gate = new Service(process.execPath, [MAIN, `--server.port=${port}`], {
        PRESET: 'docker-io-proxy',
        HOST: '127.0.0.1',
        DATA_DIR: freshFolder('gate'),
        ...configFile({ name: 'docker.io', url: hub.url }),
      });
      await gate.until('the gate is ready', async () => {
        const answer = await send(`http://${host}/health/ready`).catch(() => undefined);
        return answer?.status === 200;
      });
    });

    it('"registry-mirrors": […]; docker pull 1panel/openresty:1.27.1.2-0-1-focal', async () => {
      const settings = { 'registry-mirrors': [`http://${host}`], 'insecure-registries': [host] };
      const { docker } = await startDockerd(settings, NOWHERE);

      const told = await strict(docker)('pull', `${REPOSITORY}:${TAG}`);

      expect(told).toContain(`Digest: ${index.digest}`);
    });

    it('podman pull docker.max-kb.com/1panel/openresty:1.27.1.2-0-1-focal', async () => {
      const podman = strict(containerTool('podman'));
      const image = `${host}/${REPOSITORY}:${TAG}`;

      await podman('pull', '--tls-verify=false', image);

      const seen = await podman('inspect', '--format', '{{.Digest}} {{.RepoDigests}}', image);
      expect(seen).toContain(index.digest);
    });

    it('GET /token?scope=…, then the index, a manifest of it, its config and its layers', async () => {
      const query = `scope=repository:${REPOSITORY}:pull&service=registry.docker.io`;
      const granted = await send(`http://${host}/token?${query}`);
      const headers = bearer(granted.json<TokenAnswer>().token);
      const get = async (path: string) => {
        const answer = await send(`http://${host}/v2/${REPOSITORY}/${path}`, { headers });
        expect([path, answer.status]).toEqual([path, 200]);
        return answer;
      };

      const { manifests } = (await get(`manifests/${TAG}`)).json<Manifest>();
      const { digest = '' } =
        manifests.find(({ platform }) => platform.architecture === 'arm64') ?? {};
      const { config, layers } = (await get(`manifests/${digest}`)).json<Manifest>();

      expect(digest).toBe(arm64.digest);
      for (const each of [config, ...layers])
        expect(sha256((await get(`blobs/${each.digest}`)).body)).toBe(each.digest);
    });
  },
);
