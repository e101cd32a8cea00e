import type { Gate } from '../support/gate';
import { askToken, basic, bearer, errorCode, send, tokenFor } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import type { Registry } from '../support/registry';
import { seed, startStand, visit, visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const BLOB = [...image.blobs.keys()][0] ?? '';

describeWith(['docker-registry'], 'what an account may do', () => {
  let gate: Gate;
  let registry: Registry;

  beforeAll(async () => {
    ({ gate, registry } = await startStand());
    await seed(registry, 'team/app', '1', image);
    await seed(registry, 'secret/app', '1', image);
  });

  const TEAM = [{ repository: 'team/**', actions: ['pull' as const] }];

  it('an account without a list pulls everything and pushes nothing', async () => {
    const account = await gate.addAccount();
    await gate.changeAccount(account, { access: null });
    const who = await visit(gate, account, 'secret/app', 'pull,push');

    expect((await who.ask('/v2/secret/app/manifests/1')).status).toBe(200);
    const push = await who.ask('/v2/secret/app/blobs/uploads/', { method: 'POST' });
    expect(push.status).toBe(401);
    expect(push.headers['www-authenticate']).toContain('error="insufficient_scope"');
  });

  it('an account bound to team/** pulls there, and nothing else by any door', async () => {
    const account = await gate.addAccount(TEAM);
    const before = (await registry.requests()).length;
    const paths = [
      '/v2/secret/app/manifests/1',
      `/v2/secret/app/manifests/${image.digest}`,
      `/v2/secret/app/blobs/${BLOB}`,
      '/v2/secret/app/tags/list',
      `/v2/secret/app/referrers/${image.digest}`,
    ];
    const own = await visit(gate, account, 'team/app', 'pull');
    const both = await visit(gate, account, 'secret/app', 'pull');

    for (const path of paths) {
      for (const who of [own, both]) {
        const answer = await who.ask(path);
        expect([path, answer.status, errorCode(answer)]).toEqual([path, 401, 'UNAUTHORIZED']);
        expect(answer.headers['www-authenticate']).toContain('scope="repository:secret/app:pull"');
      }
      const withPassword = await send(`${gate.url}${path}`, { headers: basic(account) });
      expect([path, withPassword.status]).toEqual([path, 403]);
    }

    expect((await registry.requests()).slice(before)).toEqual([]);
    expect((await own.ask('/v2/team/app/manifests/1')).body.equals(image.manifest)).toBe(true);
  });

  it('a token is good for what it was asked for, and no more', async () => {
    const account = await gate.addAccount();
    const { token } = await tokenFor(gate.url, account, 'repository:team/app:pull');
    const who = visitor(gate, token);

    const pull = await who.ask('/v2/team/app/manifests/1');
    const elsewhere = await who.ask('/v2/secret/app/manifests/1');
    const push = await who.ask('/v2/team/app/blobs/uploads/', { method: 'POST' });
    const remove = await who.ask(`/v2/team/app/manifests/${image.digest}`, { method: 'DELETE' });

    expect(pull.status).toBe(200);
    for (const answer of [elsewhere, push, remove]) {
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toContain('error="insufficient_scope"');
    }
  });

  it('a stranger gets a challenge that names the scope, on deep paths too', async () => {
    const answer = await send(`${gate.url}/v2/team/app/manifests/1`);

    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe(
      `Bearer realm="${gate.url}/v2/auth",service="tidegate",scope="repository:team/app:pull"`,
    );
    expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0');
    const { status } = await askToken(gate.url, undefined, 'repository:team/app:pull');
    expect([200, 401]).toContain(status);
  });

  it('the catalog shows what may be pulled', async () => {
    const account = await gate.addAccount(TEAM);
    const { token } = await tokenFor(gate.url, account, 'registry:catalog:*');

    const answer = await send(`${gate.url}/v2/_catalog`, { headers: bearer(token) });

    expect(answer.json()).toEqual({ repositories: ['team/app'] });
    expect(answer.text).not.toContain('secret');
  });

  it('Basic on /v2 is taken as well, and a wrong password is not', async () => {
    const account = await gate.addAccount(TEAM);
    const url = `${gate.url}/v2/team/app/manifests/1`;

    const right = await send(url, { headers: basic(account) });
    const wrong = await send(url, { headers: basic({ ...account, password: 'wrong' }) });

    expect(right.status).toBe(200);
    expect(wrong.status).toBe(401);
    expect(wrong.headers['www-authenticate']).toMatch(/^Bearer /);
  });
});
