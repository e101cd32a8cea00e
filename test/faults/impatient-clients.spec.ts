import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Accounts } from '../../src/auth/accounts/accounts.service';
import { answer, FaultServer, huge, stall } from '../support/fault-server';
import { startGate } from '../support/gate';
import { openInnerGate, type InnerGate } from '../support/inner-gate';
import { atTheEnd, eventually } from '../support/lifecycle';

const DIGEST = `sha256:${createHash('sha256').update('blob').digest('hex')}`;

/** Writes exactly these bytes, and gathers what comes back. */
function speak(
  port: number,
  bytes: string,
): { socket: Socket; heard: () => string; closed: Promise<void> } {
  let text = '';
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
  socket.on('data', (chunk) => (text += chunk.toString('latin1'))).on('error', () => undefined);
  return {
    socket,
    heard: () => text,
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
  };
}

function request(line: string, authorization: string, more = ''): string {
  return `${line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${authorization}\r\n${more}\r\n`;
}

/** Resolves as soon as a login begins to be checked: its hash takes much longer than to leave. */
function nextCheck(): Promise<void> {
  return new Promise((resolve) => {
    const verify = jest.spyOn(Accounts.prototype, 'verify');
    verify.mockImplementation(function (this: Accounts, ...login) {
      verify.mockRestore();
      resolve();
      return this.verify(...login);
    });
  });
}

describe('clients that do not wait', () => {
  let upstream: FaultServer;
  let gate: InnerGate;

  beforeEach(async () => {
    upstream = await FaultServer.start();
    gate = await openInnerGate({
      UPSTREAM_REGISTRY: upstream.url.href,
      MAX_CONNECTIONS: '4',
      UPSTREAM_HEADER_TIMEOUT: '2s',
    });
  });

  afterEach(async () => {
    await gate.close();
    await upstream.close();
  });

  async function expectNothingOpen(): Promise<void> {
    await eventually('no connection is left upstream', () => upstream.open === 0);
    expect(upstream.open).toBe(0);
  }

  it('leave nothing open upstream when they go while their login is being checked', async () => {
    upstream.handler = huge(1024 ** 3);
    const logins = await Promise.all(['a', 'b', 'c'].map((name) => gate.account(`early-${name}`)));

    for (const authorization of logins) {
      const checked = nextCheck();
      const { socket, closed } = speak(
        gate.port,
        request(`GET /v2/team/app/blobs/${DIGEST}`, authorization),
      );
      await checked;
      socket.destroy();
      await closed;
    }

    // The hashes are done by the time that one more login of each has an answer.
    for (const authorization of logins) {
      await fetch(`${gate.url}/v2/`, { headers: { authorization } });
    }
    await expectNothingOpen();
  });

  it('end their connection when they ask for more before the answer is whole', async () => {
    upstream.handler = stall();

    const { closed, heard } = speak(
      gate.port,
      request(`GET /v2/team/app/blobs/${DIGEST}`, gate.admin).repeat(3),
    );
    await closed;

    expect(heard()).toBe('');
    await expectNothingOpen();
  });

  it('leave nothing open upstream when they go before their body is relayed', async () => {
    let slow = false;
    upstream.owns(/^Bearer [0-9a-f]{16}$/);
    upstream.handler = async (incoming, response) => {
      if (incoming.url?.startsWith('/token')) {
        if (slow) await sleep(300);
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ token: randomBytes(8).toString('hex'), expires_in: 60 }));
      } else if (incoming.headers.authorization === undefined) {
        response
          .writeHead(401, {
            'www-authenticate': `Bearer realm="${upstream.url.href}token",service="x"`,
          })
          .end();
      } else response.writeHead(202, { location: '/up', 'docker-upload-uuid': 'u' }).end();
    };
    const begun = await fetch(`${gate.url}/v2/team/app/blobs/uploads/`, {
      method: 'POST',
      headers: { authorization: gate.admin },
    });
    slow = true;

    const line = `PATCH ${begun.headers.get('location')}`;
    const { socket, closed } = speak(
      gate.port,
      request(line, gate.admin, 'Content-Length: 1000\r\n'),
    );
    await eventually(
      'the gate asks for a fresh token',
      () => upstream.requests.filter(({ url }) => url.startsWith('/token')).length === 2,
    );
    socket.destroy();
    await closed;

    await expectNothingOpen();
    expect(upstream.requests.some(({ method }) => method === 'PATCH')).toBe(false);
  });

  it('hear 503 at once when the upstream answers a body with a change of protocol', async () => {
    upstream.queue(
      answer(202, '', { location: '/up', 'docker-upload-uuid': 'u' }),
      ({ socket }) => {
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n',
        );
      },
    );
    const begun = await fetch(`${gate.url}/v2/team/app/blobs/uploads/`, {
      method: 'POST',
      headers: { authorization: gate.admin },
    });

    const sent = await fetch(`${gate.url}${begun.headers.get('location')}`, {
      method: 'PATCH',
      headers: { authorization: gate.admin },
      body: 'x',
    });

    expect(sent.status).toBe(503);
  });

  it('S20: cannot guess without being counted by leaving before the verdict', async () => {
    const wrong = `Basic ${Buffer.from('admin:wrong').toString('base64')}`;
    for (let guess = 0; guess < 15; guess += 1) {
      const checked = nextCheck();
      const { socket, closed } = speak(gate.port, request('GET /v2/', wrong));
      // Those beyond the limit are refused unchecked.
      await Promise.race([checked, once(socket, 'data')]);
      socket.destroy();
      await closed;
    }
    jest.restoreAllMocks();

    const login = () => fetch(`${gate.url}/v2/`, { headers: { authorization: gate.admin } });

    await eventually('the login is refused', async () => (await login()).status === 429);
    expect((await login()).status).toBe(429);
  });

  it('count as having an upload open when they leave in the middle of a whole blob', async () => {
    await gate.close();
    gate = await openInnerGate({ UPSTREAM_REGISTRY: upstream.url.href, MAX_UPLOADS: '3' });
    upstream.handler = (incoming, response) => {
      if (incoming.method === 'POST') response.writeHead(202, { location: '/up' }).end();
    };
    const digest = `digest=${DIGEST}`;
    const begin = () =>
      fetch(`${gate.url}/v2/team/app/blobs/uploads/`, {
        method: 'POST',
        headers: { authorization: gate.admin },
      });

    for (let upload = 1; upload <= 3; upload += 1) {
      const line = `POST /v2/team/app/blobs/uploads/?${digest}`;
      const { socket, closed } = speak(
        gate.port,
        `${request(line, gate.admin, 'Content-Length: 1000\r\n')}half`,
      );
      await eventually('the blob is on its way', () => {
        return upstream.requests.filter(({ method }) => method === 'PUT').length === upload;
      });
      socket.destroy();
      await closed;
    }

    expect((await begin()).status).toBe(429);
  });

  it('S20: cannot guess faster by asking several times on one connection', async () => {
    upstream.handler = stall();
    const wrong = `Basic ${Buffer.from('admin:wrong').toString('base64')}`;

    const { heard, closed } = speak(
      gate.port,
      request(`GET /v2/team/app/blobs/${DIGEST}`, gate.admin) +
        request('GET /v2/', wrong).repeat(20),
    );
    await closed;

    expect(heard()).not.toContain('401');
  });
});

describe('clients that ask for large manifests and do not read', () => {
  it('cost no more memory than the gate has set apart for that', async () => {
    const manifest = Buffer.alloc(4 * 1024 * 1024, ' ');
    const upstream = await FaultServer.start({
      handler: answer(200, manifest, {
        'content-type': 'application/vnd.oci.image.manifest.v1+json',
      }),
    });
    const gate = await startGate({
      UPSTREAM_REGISTRY: upstream.url.href,
      ANONYMOUS_ACCESS: 'pull',
    });
    const idle = gate.memory().now;

    const stalled = Array.from({ length: 150 }, (_, tag) => {
      const client = connect(gate.port, '127.0.0.1', () => {
        client.pause();
        client.write(`GET /v2/team/app/manifests/${tag} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      });
      atTheEnd(() => client.destroy());
      return client.on('error', () => undefined);
    });
    let asked = 0;
    await eventually(
      'the upstream was asked by all that found room, and for a second by none',
      async () => {
        const before = asked;
        await sleep(1_000);
        asked = upstream.requests.length;
        return asked >= 16 && asked === before;
      },
    );
    const peak = gate.memory().peak - idle;
    for (const client of stalled) client.destroy();

    expect(peak).toBeLessThan(250 * 1024 * 1024);
    expect((await fetch(`${gate.url}/health/ready`)).status).toBe(200);
  }, 90_000);
});
