/**
 * A token server for a real registry (`auth: token`): Basic in, ES256 token with its certificate in `x5c` out.
 * CNCF distribution, docs/spec/auth/{token,jwt}.
 */
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Account } from './http';
import { atTheEnd, freshFolder } from './lifecycle';
import { succeed } from './processes';

export interface TokenServer {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** Certificates that the registry is to trust. */
  readonly certificate: string;
  /** The query of each token request that was answered, in order. */
  readonly asked: string[];
}

const SERVICE = 'upstream.test';
const ISSUER = 'upstream-issuer';

/** Starts a token server that grants every scope to one account, and to nobody else. */
export async function startTokenServer({ username, password }: Account): Promise<TokenServer> {
  const folder = freshFolder('token-server');
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const out = ['-keyout', key, '-out', certificate, '-days', '2', '-subj', '/CN=upstream'];
  await succeed('openssl', ['req', '-x509', ...kind, ...out]);
  const mint = minter(readFileSync(key, 'utf8'), readFileSync(certificate, 'utf8'));

  const expected = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://token');
    response.setHeader('content-type', 'application/json');
    if (request.method !== 'GET') return response.writeHead(404).end('{}');
    if (request.headers.authorization !== expected) return response.writeHead(401).end('{}');
    asked.push(url.search);
    const scopes = url.searchParams.getAll('scope').flatMap((scope) => scope.split(' '));
    const token = mint(username, scopes);
    return response.end(JSON.stringify({ token, access_token: token, expires_in: 300 }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atTheEnd(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const realm = `http://127.0.0.1:${port}/token`;
  return { realm, service: SERVICE, issuer: ISSUER, certificate, asked };
}

function minter(privateKey: string, certificate: string) {
  const key = createPrivateKey(privateKey);
  const x5c = [certificate.replace(/-----[A-Z ]+-----|\s/g, '')];
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return (subject: string, scopes: readonly string[]) => {
    const now = Math.floor(Date.now() / 1000);
    const times = { iat: now, nbf: now - 5, exp: now + 300, jti: randomUUID() };
    const access = scopes.filter(Boolean).map(accessOf);
    const claims = { iss: ISSUER, sub: subject, aud: SERVICE, ...times, access };
    const text = `${encode({ typ: 'JWT', alg: 'ES256', x5c })}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  };
}

function accessOf(scope: string) {
  const [first, last] = [scope.indexOf(':'), scope.lastIndexOf(':')];
  return {
    type: scope.slice(0, first),
    name: scope.slice(first + 1, last),
    actions: scope.slice(last + 1).split(','),
  };
}
