/** Registries told apart by the Host header: the host table of the systems before, through a real gate. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answer, FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, claimsOf, send, type Answer } from '../support/http';
import { HOST_TABLE, hostsAt } from '../support/host-table';
import { atTheEnd, freshFolder } from '../support/lifecycle';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** A registry that says in its one manifest which one it is. */
async function registryCalled(name: string): Promise<FaultServer> {
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, layers: [], name });
  const server = await FaultServer.start({
    handler: (request, response, seen) =>
      seen.url === '/v2/org/app/manifests/1'
        ? answer(200, request.method === 'HEAD' ? '' : manifest, {
            'content-type': MANIFEST,
            'content-length': manifest.length,
          })(request, response, seen)
        : answer(404)(request, response, seen),
  });
  atTheEnd(() => server.close());
  return server;
}

let servers: Map<string, FaultServer>;

beforeAll(async () => {
  const names = [...HOST_TABLE.map(([name]) => name), 'own.example'];
  servers = new Map(
    await Promise.all(names.map(async (name) => [name, await registryCalled(name)] as const)),
  );
});

/** A gate whose registries are those servers. */
async function gateWith(env: Record<string, string>): Promise<Gate> {
  const dataDir = freshFolder('hosts');
  const entries = [...servers].map(
    ([name, { url }]) =>
      `  - { name: ${name}, url: "${url.origin}", hosts: [${name === 'own.example' ? 'own.example.org' : ''}] }`,
  );
  const text = ['registries:', ...entries, ''].join('\n');
  writeFileSync(join(dataDir, 'tidegate.yaml'), text);
  return startGate({ DATA_DIR: dataDir, ...env });
}

const ask = (gate: Gate, host: string, path: string, method = 'GET'): Promise<Answer> =>
  send(`${gate.url}${path}`, { method, headers: { host, ...basic(gate.admin) } });

/** Which registry a host leads to. */
async function registryAt(gate: Gate, host: string): Promise<string> {
  const { status, text } = await ask(gate, host, '/v2/org/app/manifests/1');
  return status === 200 ? (JSON.parse(text) as { name: string }).name : `${status}`;
}

describe('registries by host', () => {
  let gate: Gate;

  beforeAll(async () => {
    gate = await gateWith({ CUSTOM_DOMAIN: 'example.com', PUBLIC_URL: 'https://gate.example.net' });
  });

  it.each([...hostsAt('example.com'), ['own.example.org', 'own.example', 'own']])(
    '%s leads to %s, at any port',
    async (host, registry, _url) => {
      expect(await registryAt(gate, host)).toBe(registry);
      expect(await registryAt(gate, `${host}:8080`)).toBe(registry);
    },
  );

  it.each([
    '127.0.0.1',
    '10.0.0.1:80',
    '[::1]:8080',
    'localhost',
    'localhost:1',
    'gate.example.net',
  ])('%s is the gate itself, and means the default registry', async (host) => {
    expect(await registryAt(gate, host)).toBe('docker.io');
  });

  it('sends whoever opens the host of a registry to its /v2/, and shows the status elsewhere', async () => {
    for (const method of ['GET', 'HEAD']) {
      const moved = await ask(gate, 'ghcr.example.com:8080', '/', method);
      expect([moved.status, moved.headers.location, moved.text]).toEqual([301, '/v2/', '']);
    }
    const status = await ask(gate, 'localhost', '/');
    expect([status.status, status.json()['status']]).toEqual([200, 'ok']);
  });

  it('answers health on any host', async () => {
    for (const host of ['ghcr.example.com', 'other.example', 'constructor', '127.0.0.1'])
      for (const path of ['/health', '/health/live', '/health/ready'])
        expect((await ask(gate, host, path)).status).toBe(200);
  });

  it('grants at the host of a registry what each user holds there, and nothing of it elsewhere (S10)', async () => {
    const reader = await gate.addAccount([{ repository: 'ghcr.io/org/**', actions: ['pull'] }]);
    const other = await gate.addAccount([{ repository: 'docker.io/org/**', actions: ['pull'] }]);
    const scope = '?service=tidegate&scope=repository:org/app:pull';
    const granted = async (host: string, headers: Record<string, string>) => {
      const answer = await send(`${gate.url}/v2/auth${scope}`, { headers: { host, ...headers } });
      return answer.status === 200
        ? claimsOf(answer.json<{ token: string }>().token).access.map(({ name }) => name)
        : answer.status;
    };

    for (let turn = 0; turn < 2; turn++) {
      expect(await granted('ghcr.example.com', basic(reader))).toEqual(['ghcr.io/org/app']);
      expect(await granted('ghcr.example.com', basic(other))).toEqual([]);
      expect(await granted('docker.example.com', basic(reader))).toEqual([]);
      expect(await granted('docker.example.com', basic(other))).toEqual(['docker.io/org/app']);
      expect(await granted('ghcr.example.com', {})).toBe(401);
    }
  });

  it('challenges in the words of the host (design: a host always gets itself back)', async () => {
    const refused = await send(`${gate.url}/v2/`, { headers: { host: 'ghcr.example.com:8080' } });

    expect(refused.status).toBe(401);
    expect(refused.headers['www-authenticate']).toContain(
      'realm="https://ghcr.example.com:8080/v2/auth"',
    );
  });
});

describe('CUSTOM_DOMAIN=localhost, while debugging', () => {
  let gate: Gate;

  beforeAll(async () => {
    const target = servers.get('own.example')!.url.origin;
    gate = await gateWith({ CUSTOM_DOMAIN: 'localhost', DEBUG: 'true', TARGET_UPSTREAM: target });
  });

  it('gives every registry a host below localhost', async () => {
    for (const [host, registry] of hostsAt('localhost'))
      expect([host, await registryAt(gate, host)]).toEqual([host, registry]);
  });

  it('leads unknown hosts to TARGET_UPSTREAM, and the gate’s own to the default registry', async () => {
    expect(await registryAt(gate, 'other.example')).toBe('own.example');
    expect(await registryAt(gate, 'localhost')).toBe('docker.io');
    expect((await ask(gate, 'other.example', '/')).status).toBe(301);
  });
});

it('TARGET_UPSTREAM without DEBUG is told to have no effect, once', async () => {
  const gate = await gateWith({
    CUSTOM_DOMAIN: 'localhost',
    TARGET_UPSTREAM: 'http://127.0.0.1:9',
  });

  expect((await ask(gate, 'other.example', '/v2/')).status).toBe(404);
  expect(gate.logs().filter(({ msg }) => msg?.includes('TARGET_UPSTREAM'))).toEqual([
    expect.objectContaining({
      level: 40,
      msg: expect.stringContaining('has no effect without DEBUG=true'),
    }),
  ]);
});
