import { createHmac, generateKeyPairSync, sign as signWith } from 'node:crypto';
import { Secrets } from '../../src/config/secrets';
import { answer, FaultServer } from '../support/fault-server';
import { EVERYTHING, startGate, type Gate } from '../support/gate';
import {
  askToken,
  basic,
  bearer,
  claimsOf,
  errorCode,
  redeem,
  send,
  tokenFor,
  unique,
  type Account,
} from '../support/http';
import { openUpload, visit } from '../support/stand';

const SECRET = 'a secret of the tests, which is long enough to sign with';
const PULL_TEAM = [{ repository: 'team/**', actions: ['pull' as const] }];
/** Every door that a token opens, by method and path. */
const DOORS = [
  ['GET', '/v2/'],
  ['GET', '/v2/team/app/manifests/1'],
  ['HEAD', `/v2/team/app/blobs/sha256:${'a'.repeat(64)}`],
  ['POST', '/v2/team/app/blobs/uploads/'],
  ['PUT', '/v2/team/app/manifests/1'],
  ['DELETE', '/v2/team/app/manifests/1'],
] as const;

let gate: Gate;
let upstream: FaultServer;

beforeAll(async () => {
  upstream = await FaultServer.start();
  gate = await startGate({ UPSTREAM_REGISTRY: upstream.url.origin, TOKEN_SECRET: SECRET });
});

const ping = (token: string) => send(`${gate.url}/v2/`, { headers: bearer(token) });

describe('the token endpoint', () => {
  it('S10: gives each user their own rights, and a stranger none, for the same query', async () => {
    const scope = 'repository:team/app:pull,push';
    const all = await gate.addAccount(EVERYTHING);
    const few = await gate.addAccount(PULL_TEAM);

    const actions = [];
    for (const account of [all, few, all]) {
      actions.push(claimsOf((await tokenFor(gate.url, account, scope)).token).access[0]?.actions);
    }
    const stranger = await askToken(gate.url, undefined, scope);

    expect(actions).toEqual([['pull', 'push'], ['pull'], ['pull', 'push']]);
    expect([stranger.status, errorCode(stranger)]).toEqual([401, 'UNAUTHORIZED']);
  });
});

describe('S17: tokens that are refused', () => {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

  /** Signs as the gate does, with its own key, so that each test can make one thing wrong and nothing else. */
  function forge(
    claims: Record<string, unknown>,
    header: Record<string, unknown> = {},
    hash = 'sha256',
  ) {
    const { sign, id } = new Secrets(SECRET).current;
    const text = `${encode({ alg: 'HS256', typ: 'JWT', kid: id, ...header })}.${encode(claims)}`;
    return `${text}.${createHmac(hash, sign).update(text).digest('base64url')}`;
  }

  async function goodClaims() {
    return claimsOf((await tokenFor(gate.url, await gate.addAccount())).token);
  }

  async function refused(token: string): Promise<void> {
    for (const [method, path] of DOORS) {
      const answer = await send(`${gate.url}${path}`, { method, headers: bearer(token) });
      expect([method, path, answer.status]).toEqual([method, path, 401]);
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
    }
    expect(upstream.requests).toEqual([]);
  }

  it('would be good as the gate makes them', async () => {
    expect((await ping(forge(await goodClaims()))).status).toBe(200);
  });

  it('no algorithm, another one, or one that is not what was used', async () => {
    const claims = await goodClaims();
    const [, body] = forge(claims).split('.');

    await refused(`${encode({ alg: 'none', typ: 'JWT' })}.${body}.`);
    await refused(forge(claims, { alg: 'none' }));
    await refused(forge(claims, { alg: 'HS512' }, 'sha512'));
    await refused(forge(claims, { alg: 'RS256' }));
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = publicKey.export({ format: 'jwk' });
    const text = `${encode({ alg: 'ES256', typ: 'JWT', jwk })}.${encode(claims)}`;
    const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const;
    await refused(`${text}.${signWith('sha256', Buffer.from(text), key).toString('base64url')}`);
  });

  it('a key in the header, or a kid that leads elsewhere', async () => {
    const claims = await goodClaims();
    const key = Buffer.alloc(32, 1);
    const jwk = { kty: 'oct', k: key.toString('base64url') };

    // With the gate's own kid as well: the header's key is never used, nor is one that is fetched.
    const { id } = new Secrets(SECRET).current;
    for (const more of [{ jwk }, { jwk, kid: id }, { jku: `${upstream.url}keys`, kid: id }]) {
      const head = `${encode({ alg: 'HS256', typ: 'JWT', ...more })}.${encode(claims)}`;
      await refused(`${head}.${createHmac('sha256', key).update(head).digest('base64url')}`);
    }
    for (const kid of ['/dev/null', '../../token-secret', "' or 1=1", 'unknown']) {
      const head = `${encode({ alg: 'HS256', typ: 'JWT', kid })}.${encode(claims)}`;
      await refused(`${head}.${createHmac('sha256', '').update(head).digest('base64url')}`);
    }
  });

  it.each([
    ['another issuer', { iss: 'elsewhere' }],
    ['another audience', { aud: 'elsewhere' }],
    ['several audiences, none of them the gate', { aud: ['elsewhere', 'evil.example'] }],
    ['no audience', { aud: undefined }],
    ['an end that has passed', { exp: Math.floor(Date.now() / 1000) - 60 }],
    ['a beginning that is to come', { nbf: Math.floor(Date.now() / 1000) + 600 }],
    ['an account that is not there', { sub: 'nobody-of-that-name' }],
    ['the fingerprint of another password', { fp: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    ['an older epoch', { epoch: -1 }],
  ])('%s', async (_, change) => {
    await refused(forge({ ...(await goodClaims()), ...change }));
  });

  it('of an account that is removed, at once, and of one that is made anew under its name', async () => {
    const account = await gate.addAccount();
    const { token, refresh_token = '' } = await tokenFor(gate.url, account);
    const redeemed = async () => (await redeem(gate.url, refresh_token)).status;
    expect([(await ping(token)).status, await redeemed()]).toEqual([200, 200]);

    await gate.removeAccount(account);
    await refused(token);
    expect(await redeemed()).toBe(401);

    const heir = { ...account, password: unique('pass-'), access: EVERYTHING };
    expect((await gate.rest('POST', '/users', heir)).status).toBe(201);
    await refused(token);
    expect(await redeemed()).toBe(401);
    expect((await send(`${gate.url}/v2/`, { headers: basic(heir as Account) })).status).toBe(200);
  });

  /** What the gate seals an upload's address with: made of the same secret, and no token. */
  async function sealedAddress(): Promise<string> {
    upstream.queue(answer(202, '', { location: '/up/1', 'docker-upload-uuid': 'u1' }));
    const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull,push');
    const [, state = ''] = /_state=([\w-]+)/.exec(await openUpload(who, 'team/app')) ?? [];
    expect(state.length).toBeGreaterThan(20);
    upstream.requests.length = 0;
    return state;
  }

  it('a bit changed, a refresh token, an upload address, and noise', async () => {
    const { token, refresh_token } = await tokenFor(gate.url, await gate.addAccount());

    await refused(`${token.slice(0, -2)}${token.endsWith('AA') ? 'BB' : 'AA'}`);
    await refused(refresh_token ?? '');
    await refused(await sealedAddress());
    await refused('a.b.c');
    await refused('x'.repeat(8000));
  });
});
