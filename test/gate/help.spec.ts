import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { startGate, type Gate } from '../support/gate';
import { raw, send } from '../support/http';
import { freshFolder } from '../support/lifecycle';
import { run } from '../support/processes';

const CLI = join(__dirname, '../../dist/cli.js');
const JSON_PLEASE = { accept: 'application/json' };

interface Clients {
  clients: {
    name: string;
    title: string;
    files: { path: string; content: string }[];
    commands: string[];
    notes: string[];
  }[];
}

describe('GET /help/clients', () => {
  const secret = { UPSTREAM_USERNAME: 'canary-robot', UPSTREAM_PASSWORD: 'canary-password' };
  let gate: Gate;

  beforeAll(async () => (gate = await startGate({ ...secret, TRUST_PROXY: '127.0.0.2' })));

  const ask = (headers: Record<string, string> = {}, from?: string) =>
    send(`${gate.url}/help/clients`, { headers, from });

  it('is text for whoever asks without a login, made for the address that was asked', async () => {
    const { status, headers, text } = await ask({ host: 'Gate.Example.com:8080' });

    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/markdown; charset=utf-8',
      'cache-control': 'no-store',
      vary: 'Accept',
    });
    expect(text).toMatch(/^# Clients of gate\.example\.com:8080\n/);
    expect(text).toContain('"registry-mirrors": [\n    "http://gate.example.com:8080"\n  ]');
    expect(text).toContain('[host."http://gate.example.com:8080"]');
    expect(text).not.toContain('canary');
  });

  it('is JSON with the same content for whoever accepts that', async () => {
    const { headers, text, json } = await ask(JSON_PLEASE);
    const { clients } = json<Clients>();

    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(text).not.toContain('canary');
    expect(clients.map(({ name }) => name)).toEqual([
      'docker',
      'containerd',
      'podman',
      'buildkit',
      'k3s',
    ]);
    const page = (await ask()).text;
    for (const { title, files, commands, notes } of clients) {
      expect(page).toContain(`\n## ${title}\n`);
      for (const { path, content } of files) {
        expect(page).toContain(`\n\`${path}\`\n`);
        expect(page).toContain(`\n${content}\`\`\`\n`);
      }
      for (const line of [...commands, ...notes]) expect(page).toContain(line);
    }
  });

  it.each([
    ['*/*', 'text/markdown'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text/markdown'],
    ['text/markdown, application/json', 'text/markdown'],
    ['application/json;q=0.9, text/plain, */*', 'application/json'],
  ])('for who accepts %s is %s', async (accept, type) => {
    expect((await ask({ accept })).headers['content-type']).toContain(type);
  });

  it('answers HEAD without a body, and no other method', async () => {
    const head = await send(`${gate.url}/help/clients`, { method: 'HEAD' });
    const post = await send(`${gate.url}/help/clients`, { method: 'POST', body: '{}' });

    expect([head.status, head.text]).toEqual([200, '']);
    expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it.each([
    'a"]',
    "a'b",
    'a$(reboot)',
    'a`b`',
    'a\\b',
    'a b',
    'evil.example/x',
    'evil.example#',
    'evil.example?x',
    'user@evil.example',
    '1.2.3.999',
    '[::::]',
    'gate.example:99999',
  ])('repeats nothing of the Host %j', async (host) => {
    const { status, text } = await ask({ host });

    expect(status).toBe(400);
    expect(text).not.toContain(host);
  });

  it('never says what is no address, whatever the Host', async () => {
    const address = /^# Clients of (?:[a-z0-9][a-z0-9._-]*|\[[0-9a-f:]+\])(?::\d+)?$/m;
    const bytes = fc.constantFrom(...'aZ09.-_:[]"\'\\$`;&|<>(){}#%@!*~=/? \té'.split(''));
    const hosts = fc.oneof(fc.string({ unit: bytes, maxLength: 20 }), fc.webAuthority());
    let taken = 0;
    await fc.assert(
      fc.asyncProperty(hosts, async (host) => {
        const head = `GET /help/clients HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
        const { text } = await raw(gate.port, Buffer.from(head, 'latin1'));
        if (text.startsWith('HTTP/1.1 200')) taken += 1;
        expect(text).toMatch(text.startsWith('HTTP/1.1 200') ? address : /^HTTP\/1\.1 400 /);
      }),
      { numRuns: 200 },
    );
    expect(taken).toBeGreaterThan(10);
  });

  it('takes a line break in a Host for no Host at all', async () => {
    const request = 'GET /help/clients HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n';

    expect((await raw(gate.port, request)).text).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('takes a forwarded address from a trusted proxy alone', async () => {
    const forwarded = { 'x-forwarded-host': 'gate.example.com', 'x-forwarded-proto': 'https' };

    expect((await ask(forwarded)).text).toMatch(/^# Clients of 127\.0\.0\.1:/);
    const trusted = (await ask(forwarded, '127.0.0.2')).text;
    expect(trusted).toContain('[host."https://gate.example.com"]');
    expect(trusted).not.toContain('insecure');
  });

  it('is of PUBLIC_URL where that is set, whatever the Host', async () => {
    const other = await startGate({ PUBLIC_URL: 'https://gate.example.com' });

    const { text } = await send(`${other.url}/help/clients`, { headers: { host: 'evil.example' } });

    expect(text).toMatch(/^# Clients of gate\.example\.com\n/);
    expect(text).not.toContain('evil');
  });
});

describe('registries of the config file', () => {
  const CONFIG = {
    registries: [
      { name: 'ghcr.io', hosts: ['ghcr.example.com'] },
      { name: 'corp.example:5000', url: 'https://canary.internal', hosts: ['corp.example.net'] },
    ],
  };
  let env: Record<string, string>;
  let gate: Gate;

  beforeAll(async () => {
    const file = join(freshFolder('config'), 'tidegate.yaml');
    writeFileSync(file, JSON.stringify(CONFIG)); // JSON is YAML
    env = { CONFIG_FILE: file };
    gate = await startGate(env);
  });

  it('are named with the hosts by which they are reached, and without their addresses', async () => {
    const { text } = await send(`${gate.url}/help/clients`);

    expect(text).toContain(`docker pull ghcr.example.com:${gate.port}/org/app:latest\n`);
    expect(text).toContain('`/etc/containerd/certs.d/corp.example:5000/hosts.toml`');
    expect(text).toContain('server = "https://ghcr.io"');
    expect(text).not.toContain('canary');
  });

  it.each(['ghcr.example.com', 'GHCR.example.com:8443'])(
    'are spoken of alone at an address that means one of them: %s',
    async (host) => {
      const { text } = await send(`${gate.url}/help/clients`, { headers: { host } });

      expect(text.match(/certs\.d\/[^/]+/g)).toContain('certs.d/ghcr.io');
      expect(text).not.toMatch(/docker\.io\/|corp\.example|quay\.io/);
      const args = [CLI, 'clients', '--url', `http://${host}`];
      const said = await run(process.execPath, args, { cwd: freshFolder('cli'), env });
      expect(said.stdout).toBe(text);
    },
  );

  it('are no business of a host that is nobody’s', async () => {
    const headers = { host: 'evil.example' };
    const { status, text } = await send(`${gate.url}/help/clients`, { headers });

    expect(status).toBe(404);
    expect(text).not.toMatch(/evil|canary/);
  });
});

describe('cli.js clients', () => {
  const cli = (args: string[], env: Record<string, string> = {}) =>
    run(process.execPath, [CLI, 'clients', ...args], { cwd: freshFolder('cli'), env });

  it('prints what a gate with these settings answers', async () => {
    const gate = await startGate({ UPSTREAM_REGISTRY: 'https://registry.example.com' });
    const env = { UPSTREAM_REGISTRY: 'https://registry.example.com' };

    const { code, stdout, stderr } = await cli(['--url', gate.url], env);

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe((await send(`${gate.url}/help/clients`)).text);
  });

  it('knows the gate by PUBLIC_URL, and prints one client alone', async () => {
    const { stdout } = await cli(['--client', 'podman'], {
      PUBLIC_URL: 'https://gate.example.com',
    });

    expect(stdout.match(/^##? .*$/gm)).toEqual([
      '# Clients of gate.example.com',
      '## podman, buildah, skopeo and CRI-O',
    ]);
  });

  it.each([
    [[], /^error: where clients reach the gate is not known; set PUBLIC_URL, or give --url /],
    [['--url', 'gate.example.com'], /^error: .*give the origin alone, such as https:/],
    [['--url', 'https://a"b.example'], /^error: .*give the origin alone, such as https:/],
    [['--client', 'lynx'], /^error: .*Allowed choices are docker, containerd, podman/],
  ])('%j ends with 1 and a line that says why', async (args, message) => {
    const { code, stdout, stderr } = await cli(args);

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
