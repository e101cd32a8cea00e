/** TLS that fails, at real servers. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificate, selfSigned, trust } from '../../test/support/certificates';
import { answer, FaultServer } from '../../test/support/fault-server';
import {
  registryAt,
  upstreamFixture,
  type UpstreamFixture,
} from '../../test/support/upstream-fixture';
import { tlsFailure } from './tls-failure';

const HTTP_INSTEAD = 'if it speaks plain HTTP, write http:// in its URL';
const ends: Array<() => unknown> = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** What a request to that origin is refused with, and what the room holds for the operator then. */
async function refusal(origin: string) {
  const fixture: UpstreamFixture = upstreamFixture({ connectTimeout: 3_000 });
  ends.push(() => fixture.client.close());
  const registry = registryAt(origin, { name: 'reg.example' });
  const request = { registry, as: 'anonymous', method: 'GET', path: '/v2/', access: [] } as const;
  const error: unknown = await fixture.client.request(request).then(
    () => undefined,
    (refused: unknown) => refused,
  );
  return { error, faults: fixture.faults.all };
}

async function secured(tls: Certificate): Promise<string> {
  const server = await FaultServer.start({ tls, handler: answer(200) });
  ends.push(() => server.close());
  return server.url.origin;
}

/** A server that does that with each connection, as an https origin. */
async function pretending(serve: (socket: Socket) => unknown): Promise<string> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => server.close());
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A certificate for 127.0.0.1 that an authority signed which nobody knows, or that ended years ago. */
function made(kind: 'by an authority' | 'expired'): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-tls-'));
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const subject = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'];
  try {
    if (kind === 'by an authority') {
      openssl('req', '-x509', ...curve, '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca.pem');
      const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key'];
      openssl('req', '-x509', ...curve, ...subject, ...signed, '-keyout', 'key', '-out', 'cert');
    } else {
      const section = 'new_certs_dir=.\ndatabase=index\nserial=serial\ndefault_md=sha256\n';
      writeFileSync(
        join(folder, 'conf'),
        `[ca]\ndefault_ca=own\n[own]\n${section}policy=any\ncopy_extensions=copy\n[any]\ncommonName=supplied\n`,
      );
      writeFileSync(join(folder, 'index'), '');
      writeFileSync(join(folder, 'serial'), '01');
      openssl('req', '-new', ...curve, ...subject, '-keyout', 'key', '-out', 'request');
      const times = ['-startdate', '200101000000Z', '-enddate', '210101000000Z'];
      const self = ['-selfsign', '-keyfile', 'key', '-in', 'request', '-out', 'cert'];
      openssl('ca', '-config', 'conf', '-batch', '-notext', ...times, ...self);
    }
    const read = (name: string) => readFileSync(join(folder, name), 'utf8');
    return { key: read('key'), cert: read('cert') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('a certificate', () => {
  it.each<[string, () => Certificate, string]>([
    [
      'that is self-signed',
      () => selfSigned([], ['127.0.0.1']),
      'has a self-signed TLS certificate that the gate does not trust; name it in NODE_EXTRA_CA_CERTS',
    ],
    [
      'of an unknown authority',
      () => made('by an authority'),
      'has a TLS certificate of a CA that the gate does not trust; name that CA in NODE_EXTRA_CA_CERTS',
    ],
    [
      'for another host',
      () => {
        const other = selfSigned(['secret-name.internal'], ['127.0.0.2']);
        ends.push(trust(other));
        return other;
      },
      'has a TLS certificate for another host name',
    ],
    [
      'that has expired',
      () => {
        const old = made('expired');
        ends.push(trust(old));
        return old;
      },
      'has a TLS certificate that has expired',
    ],
  ])('%s is BAD_UPSTREAM, and an operator is told', async (_kind, certificate, said) => {
    const { error, faults } = await refusal(await secured(certificate()));

    expect(error).toMatchObject({ code: 'BAD_UPSTREAM', message: `reg.example ${said}` });
    expect(faults).toMatchObject([{ kind: 'untrusted', message: `reg.example ${said}` }]);
  });

  it('with a fault that is not known by name is still not trusted', () => {
    expect(tlsFailure(Object.assign(new Error('x'), { code: 'toString' }))).toEqual({
      kind: 'unusable',
      message: 'has no TLS certificate that can be trusted',
    });
  });
});

describe('a server without TLS', () => {
  it.each<[string, (socket: Socket) => unknown]>([
    ['HTTP', (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 X\r\n\r\n'))],
    ['another protocol', (socket) => socket.write('SSH-2.0-OpenSSH_9\r\n')],
  ])('that speaks %s is told as that, with the remedy', async (_what, serve) => {
    const { error, faults } = await refusal(await pretending(serve));

    const message = `reg.example does not speak TLS on that port; ${HTTP_INSTEAD}`;
    expect(error).toMatchObject({ code: 'BAD_UPSTREAM', message });
    expect(faults).toMatchObject([{ kind: 'untrusted', message }]);
  });

  it.each<[string, (socket: Socket) => unknown]>([
    ['resets', (socket) => socket.once('data', () => socket.resetAndDestroy())],
    ['closes', (socket) => socket.once('data', () => socket.end())],
  ])('that %s the connection may be one, or may be back', async (_what, serve) => {
    const { error, faults } = await refusal(await pretending(serve));

    const message = `reg.example ended the connection in the TLS handshake; ${HTTP_INSTEAD}`;
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message });
    expect(faults).toMatchObject([{ kind: 'silent', message }]);
  });
});

it('a handshake that the other side refuses is no matter of certificates', async () => {
  const alert = Buffer.from('15030300020228', 'hex');
  const origin = await pretending((socket) => socket.once('data', () => socket.end(alert)));

  expect((await refusal(origin)).error).toMatchObject({
    code: 'BAD_UPSTREAM',
    message: expect.stringContaining('refused the TLS handshake'),
  });
});
