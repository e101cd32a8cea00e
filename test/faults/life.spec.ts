import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { freePort } from '../support/free-port';
import { MAIN, runGate, startGate, type Gate } from '../support/gate';
import {
  askToken,
  bearer,
  errorCode,
  redeem,
  send,
  sha256,
  tokenFor,
  type TokenAnswer,
} from '../support/http';
import { imageOf, layersWith, MIB } from '../support/images';
import { atTheEnd, eventually, freshFolder } from '../support/lifecycle';
import { Service } from '../support/processes';
import { startRegistry } from '../support/registry';
import { seed, startStand, visit } from '../support/stand';
import { describeWith } from '../support/tools';

const SECRETS = [
  'the first secret of the tests, which is long',
  'the second of them, which is as long',
];

/** Begins to pull and reads nothing yet. */
async function beginPull(gate: Gate, token: string, path: string): Promise<IncomingMessage> {
  const outgoing = request(`${gate.url}${path}`, { agent: false, headers: bearer(token) }).end();
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  return incoming;
}

/** What the gate answers to an access token, and to the refresh token that came with it. */
async function worthOf(gate: Gate, { token, refresh_token = '' }: TokenAnswer) {
  const ping = await send(`${gate.url}/v2/`, { headers: bearer(token) });
  return [ping.status, (await redeem(gate.url, refresh_token)).status];
}

describeWith(['docker-registry', 'script'], 'the life of a gate', () => {
  const image = imageOf(layersWith(64 * MIB));
  const large = [...image.blobs].find(([, bytes]) => bytes.length > MIB)?.[0] ?? '';

  async function pulling(env: Record<string, string>) {
    const { gate, registry } = await startStand('none', env);
    await seed(registry, 'team/app', '1', image);
    const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull');
    const incoming = await beginPull(gate, who.token, `/v2/team/app/blobs/${large}`);
    return { gate, incoming };
  }

  it.each([
    ['SIGTERM', 'SIGTERM'],
    ['SIGHUP, as when its terminal closes, even twice', 'SIGHUP'],
  ] as const)(
    'F25: at %s, it is not ready, takes nobody new, lets a pull end',
    async (_, signal) => {
      const { gate, incoming } = await pulling({ DRAIN_DELAY: '3s', DRAIN_TIMEOUT: '60s' });

      const exit = gate.stop(signal);
      await eventually('readiness is 503', async () => {
        return (await send(`${gate.url}/health/ready`)).status === 503;
      });
      await eventually('no connection is taken', async () => {
        return send(`${gate.url}/health/live`).then(
          () => false,
          () => true,
        );
      });
      if (signal === 'SIGHUP') gate.signal(signal);
      expect(gate.running).toBe(true);
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);

      expect(sha256(Buffer.concat(chunks))).toBe(large);
      expect(await exit).toBe(0);
    },
  );

  it('F25: when its terminal closes, it drains though there is nowhere left to write', async () => {
    const [dataDir, port] = [freshFolder('terminal'), String(await freePort())];
    const env = { HOST: '127.0.0.1', PORT: port, DATA_DIR: dataDir, DRAIN_DELAY: '2s' };
    const command = `exec '${process.execPath}' '${MAIN}'`;
    const terminal = new Service('script', ['-qc', command, '/dev/null'], env);
    const ready = async () => {
      const answer = await send(`http://127.0.0.1:${port}/health/ready`).catch(() => undefined);
      return answer?.status;
    };
    await terminal.until('the gate is ready', async () => (await ready()) === 200);

    await terminal.stop('SIGKILL');

    const draining = await eventually('readiness changes', async () => {
      const status = await ready();
      return status === 200 ? undefined : [status];
    });
    expect(draining).toEqual([503]);
    await eventually('it has ended', async () => (await ready()) === undefined);
  });

  it('F25: what does not end by the deadline is cut, and the exit is still 0', async () => {
    const { gate, incoming } = await pulling({ DRAIN_TIMEOUT: '1s' });
    const broken = new Promise<Error>((resolve) => incoming.once('error', resolve));

    const code = await gate.stop('SIGTERM');
    incoming.resume();

    expect(code).toBe(0);
    expect((await broken).message).toMatch(/aborted|reset/i);
  });

  it.each([
    ['says nothing', ''],
    ['never comes to the end of what it asks', 'GET /v2/ HTTP/1.1\r\nX-Slow: '],
  ])('F25: a stranger who %s keeps it from ending no longer than anybody else', async (_, said) => {
    const { gate } = await startStand('none', { DRAIN_TIMEOUT: '40s' });
    const stranger = connect(gate.port, '127.0.0.1').on('error', () => undefined);
    atTheEnd(() => stranger.destroy());
    await once(stranger, 'connect');
    stranger.write(said);
    const drip = setInterval(() => said && stranger.writable && stranger.write('x'), 500);
    atTheEnd(() => clearInterval(drip));
    await send(`${gate.url}/health/live`);

    const code = await gate.stop('SIGTERM');

    expect(code).toBe(0);
    expect(gate.output()).toContain('draining');
    expect(gate.output()).not.toContain('were cut');
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'F24: after %s and a start, tokens are as good as they were, and revoked ones as bad',
    async (signal) => {
      const { gate } = await startStand();
      const [account, gone] = [await gate.addAccount(), await gate.addAccount()];
      const held = await tokenFor(gate.url, account);
      const revoked = await tokenFor(gate.url, gone);
      await gate.rest('DELETE', `/users/${gone.username}/sessions`);
      const admin = gate.admin;

      await gate.restart({ signal });

      expect(await worthOf(gate, held)).toEqual([200, 200]);
      expect(await worthOf(gate, revoked)).toEqual([401, 401]);
      expect(gate.admin).toEqual(admin);
      expect((await gate.rest('GET', '/users')).status).toBe(200);
    },
  );

  it('F26: a secret that is rotated leaves tokens of the old one good, until it is taken away', async () => {
    const [first = '', second = ''] = SECRETS;
    const { gate } = await startStand('none', { TOKEN_SECRET: first });
    const account = await gate.addAccount();
    const old = await tokenFor(gate.url, account);

    await gate.restart({ env: { TOKEN_SECRET: second, TOKEN_SECRET_PREVIOUS: first } });
    const rotated = await worthOf(gate, old);
    const fresh = await tokenFor(gate.url, account);
    await gate.restart({ env: { TOKEN_SECRET: second } });

    expect(rotated).toEqual([200, 200]);
    expect(await worthOf(gate, old)).toEqual([401, 401]);
    expect(await worthOf(gate, fresh)).toEqual([200, 200]);
  });

  it('starts while the upstream is down, says so to a pull in time, and serves when it is there', async () => {
    const port = await freePort();
    const gate = await startGate({ UPSTREAM_REGISTRY: `http://127.0.0.1:${port}` });
    const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull');
    const began = Date.now();

    const away = await who.ask('/v2/team/app/manifests/1');
    const took = Date.now() - began;
    await seed(await startRegistry({ port }), 'team/app', '1', image);

    expect([away.status, errorCode(away)]).toEqual([503, 'UNAVAILABLE']);
    expect(took).toBeLessThan(5_000);
    expect((await send(`${gate.url}/health/ready`)).status).toBe(200);
    await eventually('the upstream is found', async () => {
      return (await who.ask('/v2/team/app/manifests/1')).status === 200;
    });
  });

  it('is the only one on its data folder: a second is refused after its patience, with the remedy', async () => {
    const { gate, registry } = await startStand();

    const second = await runGate({
      ...registry.settings,
      DATA_DIR: gate.dataDir,
      DRAIN_TIMEOUT: '0s',
    });

    expect(second.code).toBe(1);
    expect(second.output).toContain(gate.dataDir);
    expect(second.stderr).toMatch(/another gate/);
    expect((await askToken(gate.url, gate.admin)).status).toBe(200);
  });

  it('gives its data folder on to the one that waits for it', async () => {
    const { gate, registry } = await startStand();
    const account = await gate.addAccount();
    const starting = startGate({ ...registry.settings, DATA_DIR: gate.dataDir });
    await new Promise((resolve) => setTimeout(resolve, 500));

    await gate.stop('SIGTERM');
    const next = await starting;

    expect((await askToken(next.url, account)).status).toBe(200);
  });

  it('says what to do when something else listens on its port, and leaves the lock', async () => {
    const { gate, registry } = await startStand();
    const dataDir = freshFolder('port');

    const env = { ...registry.settings, PORT: String(gate.port), DATA_DIR: dataDir };
    const { code, stderr } = await runGate(env);

    expect(code).toBe(1);
    expect(stderr).toMatch(/PORT/);
    const free = await startGate({ ...registry.settings, DATA_DIR: dataDir });
    expect(free.running).toBe(true);
  });
});
