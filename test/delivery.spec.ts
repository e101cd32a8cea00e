/** What machines build and run: the image, compose.yaml and .ci/run, held against what they promise. */
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { readSettings } from '../src/config/read-settings';
import { run } from './support/processes';

const ROOT = resolve(__dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

describe('.ci/run', () => {
  it.each([
    [
      'a run in which all is well',
      'Tests:       2 skipped, 5 passed, 7 total',
      0,
      '5 passed, 0 failed',
    ],
    ['a test that fails', 'Tests:       1 failed, 5 passed, 6 total', 1, '5 passed, 1 failed'],
    ['a check that fails before the tests', 'Found 2 errors.', 1, '0 passed, 1 failed'],
    ['a spec that does not load', 'Tests:       5 passed, 5 total', 1, '5 passed, 1 failed'],
    ['a run without any test', 'nothing', 0, '0 passed, 1 failed'],
  ])('closes %s with what passed and failed', async (_what, said, code, closing) => {
    const folder = mkdtempSync(join(tmpdir(), 'tidegate-ci-'));
    try {
      mkdirSync(join(folder, '.ci'));
      writeFileSync(join(folder, '.ci/run'), read('.ci/run'));
      const npm = `#!/bin/sh\n[ "$1" != test ] || { echo '${said}'; exit ${code}; }\n`;
      writeFileSync(join(folder, 'npm'), npm, { mode: 0o755 });

      const PATH = `${folder}:${process.env['PATH']}`;
      const ended = await run('bash', [join(folder, '.ci/run')], { env: { PATH } });

      expect(ended.stdout.trimEnd().split('\n').at(-1)).toBe(closing);
      expect(ended.code).toBe(closing.endsWith(' 0 failed') ? 0 : 1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the image', () => {
  const dockerfile = read('Dockerfile');
  const lastStage = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));

  it('stands on one base image, which can be pinned by its digest', () => {
    const [, base] = /^ARG NODE_IMAGE=(\S+)$/m.exec(dockerfile)!;
    const { devDependencies } = JSON.parse(read('package.json')) as {
      devDependencies: { node: string };
    };

    // The Node that the tests ran on.
    expect(base).toMatch(
      new RegExp(
        `^node:${parseInt(devDependencies.node.slice(1), 10)}[\\w.-]*(@sha256:[\\da-f]{64})?$`,
      ),
    );
    expect([...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, from]) => from)).toEqual([
      '${NODE_IMAGE}',
      '${NODE_IMAGE}',
    ]);
  });

  it('runs as somebody other than root, with Node as the process that gets the signals', () => {
    expect(lastStage).toMatch(/^USER [1-9]\d*(?::[1-9]\d*)?$/m);
    expect(lastStage).toMatch(/^CMD \["node", "dist\/main\.js"\]$/m);
    expect(lastStage).toMatch(/^STOPSIGNAL SIGTERM$/m);
  });

  const check = /^HEALTHCHECK .*\\\n +CMD \["node", "(dist\/.*\.js)"\]$/m.exec(lastStage)?.[1];

  it('has a health check that needs no program but Node', () => {
    expect(check).toBe('dist/health-check.js');
  });

  /** What the health check says, run as the image would run it. */
  async function healthCheck(env: Record<string, string>): Promise<number | null> {
    return (await run(process.execPath, [join(ROOT, check!)], { env })).code;
  }

  it.each([
    ['PORT', (port: number) => ({ PORT: String(port) })],
    ['HOST and PORT', (port: number) => ({ HOST: '[::1]', PORT: String(port) }), '::1'],
    ['PROXY_LISTEN_ADDR', (port: number) => ({ HOST: '', PROXY_LISTEN_ADDR: `:${port}` })],
    ['an address, too', (port: number) => ({ PROXY_LISTEN_ADDR: `[::1]:${port}` }), '::1'],
  ])('asks for its health where it listens by %s', async (_what, env, host = '127.0.0.1') => {
    let status = 200;
    const server = createServer((request, response) => {
      response.writeHead(request.url === '/health/ready' ? status : 404).end();
    });
    await once(server.listen(0, host), 'listening');
    try {
      const { port } = server.address() as AddressInfo;

      const ready = await healthCheck(env(port));
      status = 503;
      const draining = await healthCheck(env(port));

      expect([ready, draining]).toEqual([0, 1]);
    } finally {
      server.close();
    }
  });

  it('leaves the address to listen on to the settings, whichever names it', () => {
    const own = [...lastStage.matchAll(/^(?:ENV |    )([A-Z_]+)=(\S+)/gm)].map(
      ([, name, value]) => [name, value] as const,
    );
    const { services } = parseYaml(read('compose.yaml')) as {
      services: { tidegate: { environment: Record<string, string> } };
    };
    const composed = Object.entries(services.tidegate.environment).map(
      // As compose fills in what is not set.
      ([name, value]) => [name, value.replace(/\$\{\w+:-(.*?)\}/g, '$1')] as const,
    );
    // The test may not write to /data.
    const given = { DATA_DIR: tmpdir(), PROXY_LISTEN_ADDR: '127.0.0.1:5002' };

    expect(Object.fromEntries(own)).toEqual({ NODE_ENV: 'production', DATA_DIR: '/data' });
    for (const set of [own, [...own, ...composed]]) {
      expect(readSettings({ ...Object.fromEntries(set), ...given })).toMatchObject({
        host: '127.0.0.1',
        port: 5002,
      });
    }
  });

  it('is built from nothing but what is named', () => {
    const rules = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    const named = rules.filter((line) => line.startsWith('!')).map((line) => line.slice(1));

    expect(rules[0]).toBe('*');
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths]) =>
      paths!.split(' '),
    );
    expect(copied.toSorted()).toEqual(named.toSorted());
  });

  it('is run by compose with no more rights than it needs, and with time to drain', () => {
    const { services } = parseYaml(read('compose.yaml')) as {
      services: Record<string, Record<string, unknown>>;
    };

    expect(Object.keys(services)).toEqual(['tidegate']);
    expect(services['tidegate']).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      restart: 'unless-stopped',
    });
    // The default of DRAIN_TIMEOUT is 30 s.
    expect(
      Number.parseInt(String(services['tidegate']?.['stop_grace_period']), 10),
    ).toBeGreaterThan(30);
  });
});
