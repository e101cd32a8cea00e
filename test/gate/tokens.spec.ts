import { createHmac } from 'node:crypto';
import { Secrets } from '../../src/config/secrets';
import { EVERYTHING, type Gate } from '../support/gate';
import { askToken, basic, bearer, claimsOf, send, tokenFor, unique } from '../support/http';
import { startStand } from '../support/stand';
import { describeWith } from '../support/tools';

const SECRET = 'a secret of the tests, which is long enough to sign with';
const PULL_TEAM = [{ repository: 'team/**', actions: ['pull' as const] }];

describeWith(['docker-registry'], 'the token endpoint', () => {
  let gate: Gate;

  beforeAll(async () => {
    ({ gate } = await startStand('none', { TOKEN_SECRET: SECRET }));
  });

  const ping = (token: string) => send(`${gate.url}/v2/`, { headers: bearer(token) });

  function post(form: Record<string, string>) {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams({ service: 'tidegate', client_id: 'test', ...form });
    return send(`${gate.url}/v2/auth`, { method: 'POST', headers, body: body.toString() });
  }

  it('is where the challenge sends a client, under both its addresses', async () => {
    const refusal = await send(`${gate.url}/v2/`);

    expect(refusal.status).toBe(401);
    expect(refusal.headers['www-authenticate']).toBe(
      `Bearer realm="${gate.url}/v2/auth",service="tidegate"`,
    );
    const account = basic(await gate.addAccount());
    for (const path of ['/v2/auth', '/token']) {
      expect((await send(`${gate.url}${path}`, { headers: account })).status).toBe(200);
    }
  });

  it('gives docker a token that opens /v2/, with all that docker reads from the answer', async () => {
    const account = await gate.addAccount();

    const answer = (await askToken(gate.url, account)).json<Record<string, unknown>>();

    expect(answer).toMatchObject({ expires_in: 300, refresh_token: expect.any(String) });
    expect(answer['access_token']).toBe(answer['token']);
    expect(new Date(String(answer['issued_at'])).getTime()).toBeGreaterThan(Date.now() - 10_000);
    expect((await ping(String(answer['token']))).status).toBe(200);
  });

  it('answers containerd: password, then refresh token, by POST', async () => {
    const { username, password } = await gate.addAccount();
    const scope = 'repository:team/app:pull';

    const grant = { grant_type: 'password', username, password, access_type: 'offline', scope };
    const first = (await post(grant)).json<{ access_token: string; refresh_token: string }>();
    const { refresh_token } = first;
    const again = await post({ grant_type: 'refresh_token', refresh_token, scope });

    const second = again.json<{ access_token: string; refresh_token?: string }>();
    expect(claimsOf(first.access_token).access).toMatchObject([{ actions: ['pull'] }]);
    expect((await ping(second.access_token)).status).toBe(200);
    // docker keeps the first one for ever.
    expect([undefined, refresh_token]).toContain(second.refresh_token);
    expect((await post({ grant_type: 'refresh_token', refresh_token })).status).toBe(200);
  });

  it('answers 401 to a wrong password, an unknown user and a wrong refresh token alike', async () => {
    const { username } = await gate.addAccount();

    const wrong = await askToken(gate.url, { username, password: 'wrong' });
    const unknown = await askToken(gate.url, { username: unique('nobody'), password: 'wrong' });
    const byPost = await post({ grant_type: 'password', username, password: 'wrong' });
    const refresh = await post({ grant_type: 'refresh_token', refresh_token: 'made-up' });

    for (const { status } of [wrong, unknown, byPost, refresh]) expect(status).toBe(401);
    expect(wrong.body.equals(unknown.body)).toBe(true);
  });

  it('grants what is asked and held, and nothing else, without an error', async () => {
    const account = await gate.addAccount(PULL_TEAM);

    const { token } = await tokenFor(
      gate.url,
      account,
      'repository:team/app:pull,push repository:other/app:pull',
      'repository:team/two:*',
    );

    const names = claimsOf(token).access.map(({ name, actions }) => [
      name.replace(/^[^/]+\//, ''),
      actions,
    ]);
    expect(names.filter(([, actions]) => actions?.length)).toEqual([
      ['team/app', ['pull']],
      ['team/two', ['pull']],
    ]);
  });

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
    if (stranger.status === 200) {
      const { token } = stranger.json<{ token: string }>();
      expect(claimsOf(token).access.flatMap((access) => access.actions)).toEqual([]);
    } else expect(stranger.status).toBe(401);
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
      const answer = await ping(token);
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toContain('error="invalid_token"');
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
    });

    it('a key in the header, or a kid that leads elsewhere', async () => {
      const claims = await goodClaims();
      const key = Buffer.alloc(32, 1);
      const jwk = { kty: 'oct', k: key.toString('base64url') };
      const text = `${encode({ alg: 'HS256', typ: 'JWT', jwk })}.${encode(claims)}`;

      await refused(`${text}.${createHmac('sha256', key).update(text).digest('base64url')}`);
      for (const kid of ['/dev/null', '../../token-secret', "' or 1=1", 'unknown']) {
        const head = `${encode({ alg: 'HS256', typ: 'JWT', kid })}.${encode(claims)}`;
        await refused(`${head}.${createHmac('sha256', '').update(head).digest('base64url')}`);
      }
    });

    it.each([
      ['another issuer', { iss: 'elsewhere' }],
      ['another audience', { aud: 'elsewhere' }],
      ['no audience', { aud: undefined }],
      ['an end that has passed', { exp: Math.floor(Date.now() / 1000) - 60 }],
      ['a beginning that is to come', { nbf: Math.floor(Date.now() / 1000) + 600 }],
      ['an account that is not there', { sub: 'nobody-of-that-name' }],
      ['the fingerprint of another password', { fp: 'AAAAAAAAAAAAAAAAAAAAAA' }],
      ['an older epoch', { epoch: -1 }],
    ])('%s', async (_, change) => {
      await refused(forge({ ...(await goodClaims()), ...change }));
    });

    it('a bit changed, a refresh token, an upload address, and noise', async () => {
      const { token, refresh_token } = await tokenFor(gate.url, await gate.addAccount());

      await refused(`${token.slice(0, -2)}${token.endsWith('AA') ? 'BB' : 'AA'}`);
      await refused(refresh_token ?? '');
      await refused('a.b.c');
      await refused('x'.repeat(8000));
    });
  });
});
