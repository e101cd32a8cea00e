/**
 * A token server for a real registry (`auth: token`): Basic or a refresh token in, ES256 token with its certificate in
 * `x5c` out. CNCF distribution, docs/spec/auth/{token,oauth,jwt}.
 */
import { createPrivateKey, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { basic, type Account } from './http';
import { atTheEnd, freshFolder } from './lifecycle';
import { OwnCredentials } from './own-credentials';
import { succeed } from './processes';

export interface TokenServer {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  /** Certificates that the registry is to trust. */
  readonly certificate: string;
  /** The query of each token request that was answered, in order. */
  readonly asked: string[];
  /** Logins that it may be shown beside those of its own accounts. */
  owns(...accounts: Account[]): void;
}

const SERVICE = 'upstream.test';
const ISSUER = 'upstream-issuer';

/**
 * Starts a token server that grants every scope to one account, and to nobody else.
 * @param guest one more, which may only pull, and only below `public/`.
 * @param isPublic what everybody may pull, without a login; without it, nobody gets a token without one.
 */
export async function startTokenServer(
  owner: Account,
  guest?: Account,
  isPublic?: (repository: string) => boolean,
): Promise<TokenServer> {
  const folder = freshFolder('token-server');
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const out = ['-keyout', key, '-out', certificate, '-days', '2', '-subj', '/CN=upstream'];
  await succeed('openssl', ['req', '-x509', ...kind, ...out]);
  const mint = minter(readFileSync(key, 'utf8'), readFileSync(certificate, 'utf8'));

  const accounts = guest ? [owner, guest] : [owner];
  const refreshTokens = new Map(accounts.map((account) => [`refresh-${randomUUID()}`, account]));
  const asked: string[] = [];
  // A wrong password for one of its own names is shown to nobody else.
  const names = new Set(accounts.map(({ username }) => username));
  const own = new OwnCredentials('a token server', [(shown) => names.has(userOf(shown))]);
  const server: Server = createServer((request, response) => {
    own.note(request.rawHeaders);
    const answer = async () => {
      const url = new URL(request.url ?? '/', 'http://token');
      const form = new URLSearchParams(await textOf(request));
      const account =
        request.method === 'POST'
          ? refreshTokens.get(form.get('refresh_token') ?? '')
          : accounts.find((one) => request.headers.authorization === basic(one).authorization);
      response.setHeader('content-type', 'application/json');
      const isNobody = request.method === 'GET' && request.headers.authorization === undefined;
      if (!account && !(isPublic && isNobody)) return response.writeHead(401).end('{}');
      const parameters = request.method === 'POST' ? form : url.searchParams;
      asked.push(url.search);
      const scopes = parameters.getAll('scope').flatMap((scope) => scope.split(' '));
      const granted = account
        ? scopes.filter((scope) => account !== guest || accessOf(scope).name.startsWith('public/'))
        : scopes.filter((scope) => isPublic?.(accessOf(scope).name));
      const token = mint(account?.username ?? '', account === owner ? granted : pullsOf(granted));
      const [refresh] = [...refreshTokens].find(([, whose]) => whose === account) ?? [];
      const offline =
        parameters.get('offline_token') === 'true' && refresh ? { refresh_token: refresh } : {};
      return response.end(
        JSON.stringify({ token, access_token: token, expires_in: 300, ...offline }),
      );
    };
    answer().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atTheEnd(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  const realm = `http://127.0.0.1:${port}/token`;
  const owns = (...more: Account[]) =>
    own.add(...more.map((account) => basic(account).authorization));
  return { realm, service: SERVICE, issuer: ISSUER, certificate, asked, owns };
}

function userOf(authorization: string): string {
  const text = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString('utf8');
  return text.slice(0, text.indexOf(':'));
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

function pullsOf(scopes: readonly string[]): string[] {
  return scopes.flatMap((scope) => {
    const { type, name, actions } = accessOf(scope);
    return type === 'repository' && actions.includes('pull') ? [`repository:${name}:pull`] : [];
  });
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
