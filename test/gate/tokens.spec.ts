import type { Gate } from '../support/gate';
import { askToken, basic, bearer, claimsOf, send, tokenFor, unique } from '../support/http';
import { startStand } from '../support/stand';
import { describeWith } from '../support/tools';

const PULL_TEAM = [{ repository: 'team/**', actions: ['pull' as const] }];

describeWith(['docker-registry'], 'the token endpoint', () => {
  let gate: Gate;

  beforeAll(async () => {
    ({ gate } = await startStand());
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
});
