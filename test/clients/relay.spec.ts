/** Real clients log in through the gate with what the registry itself takes. */
import { skopeo, startDockerd, strict, type Client, type Docker } from '../support/clients';
import { startGate, type Gate } from '../support/gate';
import { unique, type Account } from '../support/http';
import { dockerArchive, imageOf, layersWith, MIB } from '../support/images';
import { startRegistry, UPSTREAM_KINDS, type Registry } from '../support/registry';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));

function listed({ username, password }: Account): { ACCOUNTS: string } {
  return { ACCOUNTS: Buffer.from(`${username}:${password}`).toString('base64') };
}

interface Stand {
  readonly registry: Registry;
  readonly gate: Gate;
  /** Whom the registry takes; anybody, where it asks for nothing. */
  readonly owner: Account;
  readonly guest: Account;
}

async function standOf(auth: (typeof UPSTREAM_KINDS)[number], limited: boolean): Promise<Stand> {
  const guest = { username: 'guest', password: unique('guest-') };
  const registry = await startRegistry({ auth, guest });
  const owner = registry.credentials ?? { username: 'owner', password: unique('owner-') };
  await seed(registry, 'team/held', '1', image);
  const gate = await startGate({
    AUTH_MODE: 'relay',
    UPSTREAM_REGISTRY: registry.url,
    ...(limited ? listed(owner) : {}),
  });
  return { registry, gate, owner, guest };
}

describeWith(
  ['docker-registry', 'htpasswd', 'openssl', 'docker', 'dockerd', 'skopeo'],
  'relay, with real clients',
  () => {
    let engine: Docker;

    beforeAll(async () => {
      engine = await startDockerd();
      await engine.load(dockerArchive('app:1', layersWith(4 * MIB)));
    });

    const login = (client: Client, { host }: Gate, { username, password }: Account) =>
      client('login', '--username', username, '--password', password, host);

    const cases = UPSTREAM_KINDS.flatMap((auth) => [
      { auth, limited: false, accounts: 'without ACCOUNTS' },
      { auth, limited: true, accounts: 'with ACCOUNTS' },
    ]);

    it.each(cases)(
      'docker logs in, pushes and pulls before a registry with $auth, $accounts',
      async ({ auth, limited }) => {
        const { gate, registry, owner } = await standOf(auth, limited);
        const client = engine.anotherUser();
        const docker = strict(client);
        const name = `${gate.host}/team/app:1`;

        expect((await login(client, gate, owner)).stdout).toContain('Login Succeeded');
        await docker('tag', 'app:1', name);
        const pushed = /digest: (sha256:\w+)/.exec(await docker('push', name))?.[1];
        await docker('rmi', name);
        const pulled = /Digest: (sha256:\w+)/.exec(await docker('pull', name))?.[1];

        const headers = { accept: 'application/vnd.docker.distribution.manifest.v2+json' };
        const held = await registry.ask('/v2/team/app/manifests/1', { headers });
        expect(pushed).toMatch(/^sha256:/);
        expect([pulled, held.headers['docker-content-digest']]).toEqual([pushed, pushed]);
      },
    );

    it.each(cases.filter(({ auth, limited }) => limited || auth !== 'none'))(
      'docker is refused with a wrong password before a registry with $auth, $accounts',
      async ({ auth, limited }) => {
        const { gate, owner } = await standOf(auth, limited);

        const answer = await login(engine.anotherUser(), gate, { ...owner, password: 'wrong' });

        expect(answer.code).not.toBe(0);
        expect(answer.output).toMatch(/unauthorized|incorrect username or password/i);
      },
    );

    it.each(cases.filter(({ limited }) => limited))(
      'docker is refused with a login that is not listed before a registry with $auth',
      async ({ auth }) => {
        const { gate, guest } = await standOf(auth, true);

        expect((await login(engine.anotherUser(), gate, guest)).code).not.toBe(0);
      },
    );

    it.each(['token', 'htpasswd'] as const)(
      'skopeo gets what is held only with rights at the registry with %s',
      async (auth) => {
        const { gate, owner, guest } = await standOf(auth, false);
        const copy = ({ username, password }: Account) =>
          skopeo()(
            'copy',
            '--src-tls-verify=false',
            '--src-creds',
            `${username}:${password}`,
            `docker://${gate.host}/team/held:1`,
            `dir:${gate.dataDir}/${unique('copy-')}`,
          );

        const first = await copy(owner);
        const again = await copy(owner);
        const other = await copy(guest);
        const nobody = await copy({ ...owner, password: 'wrong' });

        expect([first.code, again.code]).toEqual([0, 0]);
        // A registry with an htpasswd file gives all its users everything.
        expect(other.code === 0).toBe(auth === 'htpasswd');
        expect(nobody.code).not.toBe(0);
      },
    );
  },
);
