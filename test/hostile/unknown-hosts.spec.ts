/** Hosts that are nobody's, and what a stranger is told in their place. */
import { ConnectProxy } from '../support/connect-proxy';
import { answer, FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, errorCode, send, type Answer } from '../support/http';
import { atTheEnd } from '../support/lifecycle';
import { configFile } from '../support/several-registries';

const ROBOT = { username: 'robot', password: 'robot-password' };

describe('a gate of several registries', () => {
  let registry: FaultServer;
  let proxy: ConnectProxy;
  let gate: Gate;

  beforeAll(async () => {
    registry = await FaultServer.start({ handler: answer(200) });
    // Whatever the gate connects to, it would connect to through here.
    proxy = await ConnectProxy.start();
    atTheEnd(() => proxy.close());
    gate = await startGate({
      CUSTOM_DOMAIN: 'example.com',
      PUBLIC_URL: 'https://gate.example.net',
      HTTP_PROXY: proxy.url.href,
      HTTPS_PROXY: proxy.url.href,
      ...configFile(
        { name: 'docker.io', url: registry.url.origin, credentials: [ROBOT] },
        { name: 'own.example', url: registry.url.origin, hosts: ['own.example.org'] },
      ),
    });
  });

  const ask = (host: string, path: string, headers: Record<string, string> = {}): Promise<Answer> =>
    send(`${gate.url}${path}`, { headers: { host, ...headers } });

  const nobodyWasAsked = () => expect([proxy.requests, registry.accepted]).toEqual([[], 0]);

  it.each([
    'example.com',
    'other.example.com',
    'ghcr.example.com.evil.example',
    'constructor',
    'evil.example:5000',
    // Addresses in other spellings are no way around the table either.
    '2130706433',
    '0x7f000001',
    '169.254.169.254.nip.io',
  ])('S36: the host %s is nobody’s: 404 with the routes, and nobody is asked', async (host) => {
    for (const path of ['/v2/', '/', '/v2/org/app/manifests/1', '/v2/auth?scope=repository:x:pull'])
      for (const headers of [{}, basic(gate.admin)]) {
        const got = await ask(host, path, headers);

        expect([path, got.status, errorCode(got)]).toEqual([path, 404, 'NOT_FOUND']);
        expect(got.headers['www-authenticate']).toBeUndefined();
      }
    nobodyWasAsked();
  });

  it('S36: __proto__ and constructor are no registries, whichever way they come', async () => {
    const admin = basic(gate.admin);

    expect((await ask('__proto__', '/v2/', admin)).status).toBe(400);
    for (const ns of ['__proto__', 'constructor', 'toString', 'constructor.prototype'])
      expect((await ask('localhost', `/v2/org/app/manifests/1?ns=${ns}`, admin)).status).toBe(404);
    for (const name of ['__proto__', 'constructor.prototype', 'evil.example', '169.254.169.254'])
      expect([400, 404]).toContain(
        (await ask('localhost', `/v2/${name}/app/manifests/1`, admin)).status,
      );
    nobodyWasAsked();
  });

  it('S36: a ns that is no registry, or two of them, is 400 or 404, and nobody is asked', async () => {
    for (const query of [
      'ns=169.254.169.254',
      `ns=${registry.host}`,
      'ns=docker.io&ns=own.example',
      'ns=docker.io&ns=docker.io',
      'ns=docker.io/../x',
      'ns=http://evil.example',
      'ns=docker.io%00',
      'ns=',
    ])
      for (const path of ['/v2/org/app/manifests/1', '/v2/auth']) {
        const { status } = await ask('localhost', `${path}?${query}`, basic(gate.admin));
        expect([path, query, [400, 404].includes(status)]).toEqual([path, query, true]);
      }
    nobodyWasAsked();
  });

  it('S38: names its hosts to a stranger, and URLs of registries that everybody knows alone', async () => {
    const { routes } = (await ask('other.example', '/')).json<{ routes: Record<string, string> }>();

    expect(routes).toMatchObject({
      'ghcr.example.com': 'https://ghcr.io',
      'quay.example.com': 'https://quay.io',
      'own.example.org': 'own.example',
      // Built in, but led to a place of the operator's own.
      'hub.example.com': 'docker.io',
    });
    expect(JSON.stringify(routes)).not.toMatch(/127\.0\.0\.1|robot/);
  });

  it('S38: tells a stranger its state by one word, on any host', async () => {
    for (const host of ['localhost', 'gate.example.net', 'ghcr.example.com', 'other.example'])
      expect((await ask(host, '/health')).json()).toEqual({ status: 'ok' });
  });
});

it('S38: a stranger is not told where a registry of the operator’s own is', async () => {
  const upstream = await FaultServer.start({ handler: answer(200) });
  const gate = await startGate({
    UPSTREAM_REGISTRY: upstream.url.origin,
    UPSTREAM_USERNAME: ROBOT.username,
    UPSTREAM_PASSWORD: ROBOT.password,
  });

  const answers = await Promise.all(
    ['/', '/health', '/health/live', '/health/ready', '/v2/'].map((path) =>
      send(`${gate.url}${path}`),
    ),
  );

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 401]);
  for (const { text } of answers) expect(text).not.toMatch(/https?:\/\/|robot/);
});
