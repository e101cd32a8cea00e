/** What the README of the nginx, registry:2 and Traefik set-up has its users type, at a gate with PRESET=nginx-registry. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startDockerd, strict, type Client, type Docker } from '../support/clients';
import { startGate, type Gate } from '../support/gate';
import { basic, send, type Account } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { eventually, freshFolder } from '../support/lifecycle';
import { succeed } from '../support/processes';
import { startRegistry } from '../support/registry';
import { configFile } from '../support/several-registries';
import { logsIn, seed } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(20_000));
const ALICE = { username: 'alice', password: 'alice-secret' };
const BOB = { username: 'bob', password: 'bob-secret' };

/** htpasswd -Bbn <username> <password> */
const line = ({ username, password }: Account) =>
  succeed('htpasswd', ['-Bbn', username, password]).then((text) => `${text.trim()}\n`);

describeWith(
  ['docker-registry', 'htpasswd', 'docker', 'dockerd'],
  'PRESET=nginx-registry does what its README says',
  () => {
    let engine: Docker;
    let gate: Gate;
    let user: Client;
    let file: string;

    beforeAll(async () => {
      engine = await startDockerd();
      const hub = await startRegistry();
      await seed(hub, 'library/nginx', 'alpine', image);
      await seed(hub, 'bitnami/nginx', 'latest', image);
      const auth = join(freshFolder('old'), 'auth');
      mkdirSync(auth);
      file = join(auth, 'htpasswd');
      // ./setup.sh
      writeFileSync(file, await line(ALICE));
      gate = await startGate({
        PRESET: 'nginx-registry',
        HTPASSWD_FILE: file,
        ...configFile({ name: 'docker.io', url: hub.url }),
      });
      user = engine.anotherUser();
    });

    it('docker login docker-proxy.yourdomain.com, with what setup.sh made', async () => {
      const { username, password } = ALICE;

      const { stdout } = await user('login', '-u', username, '-p', password, gate.host);

      expect(stdout).toContain('Login Succeeded');
    });

    it.each(['library/nginx:alpine', 'bitnami/nginx:latest'])(
      'docker pull docker-proxy.yourdomain.com/%s',
      async (name) => {
        const told = await strict(user)('pull', `${gate.host}/${name}`);

        expect(told).toContain(`Digest: ${image.digest}`);
      },
    );

    it('nobody gets in without a login', async () => {
      expect((await send(`${gate.url}/v2/`)).status).toBe(401);
      expect((await engine.anotherUser()('pull', `${gate.host}/library/nginx:alpine`)).code).toBe(
        1,
      );
    });

    it('htpasswd -Bbn <username> <password> >> auth/htpasswd, and the line is taken out again', async () => {
      appendFileSync(file, await line(BOB));
      await eventually('bob can log in', () => logsIn(gate, BOB));

      const rest = readFileSync(file, 'utf8')
        .split('\n')
        .filter((each) => !each.startsWith('bob:'));
      writeFileSync(file, rest.join('\n'));
      await eventually('bob cannot', async () => !(await logsIn(gate, BOB)));

      expect(await logsIn(gate, ALICE)).toBe(true);
    });

    it('curl http://localhost/health', async () => {
      expect((await send(`${gate.url}/health`)).status).toBe(200);
    });

    it('rate=10r/s, burst=20: more than that is refused, and told when to come again', async () => {
      const from = '127.0.0.77';
      const headers = basic({ username: 'nobody', password: '' });
      const asked = Array.from({ length: 120 }, () => send(`${gate.url}/v2/`, { from }));
      const answers = await Promise.all(asked);

      const refused = answers.filter(({ status }) => status === 429);
      expect(refused.length).toBeGreaterThan(0);
      // The burst, and what came by within the time that this took.
      expect(answers.length - refused.length).toBeGreaterThanOrEqual(20);
      expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0);
      // Somebody else is not held back.
      expect((await send(`${gate.url}/v2/`, { headers, from: '127.0.0.78' })).status).toBe(401);
    });
  },
);
