/** AUTH_MODE=relay: clients log in with what the registry itself takes. */
import { startGate, type Gate } from '../support/gate';
import {
  askToken,
  basic,
  bearer,
  claimsOf,
  errorCode,
  send,
  tokenFor,
  unique,
  type Account,
} from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry, type Registry } from '../support/registry';
import { openUpload, seed, visitor, withQuery } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const [digest = ''] = image.blobs.keys();
const stranger: Account = { username: 'stranger', password: 'never-heard-of' };

function relayBefore(registry: Registry, env: Record<string, string> = {}): Promise<Gate> {
  return startGate({ AUTH_MODE: 'relay', UPSTREAM_REGISTRY: registry.url, ...env });
}

function listed(...accounts: Account[]): { ACCOUNTS: string } {
  const entries = accounts.map(({ username, password }) =>
    Buffer.from(`${username}:${password}`).toString('base64'),
  );
  return { ACCOUNTS: entries.join(',') };
}

function challengeOf(answer: { headers: Record<string, unknown> }): string {
  return String(answer.headers['www-authenticate']);
}

describeWith(
  ['docker-registry', 'htpasswd', 'openssl'],
  'relay before a registry with tokens',
  () => {
    const guest: Account = { username: 'guest', password: unique('guest-') };
    let registry: Registry;
    let gate: Gate;
    let owner: Account;

    beforeAll(async () => {
      registry = await startRegistry({ auth: 'token', guest });
      owner = registry.credentials!;
      await seed(registry, 'team/app', '1', image);
      await seed(registry, 'public/app', '1', image);
      gate = await relayBefore(registry);
    });

    it.each(['/v2/', '/v2/team/app/manifests/1', `/v2/team/app/blobs/${digest}`, '/v2/_catalog'])(
      'challenges %s with its own realm and the service of the registry',
      async (path) => {
        const answer = await send(`${gate.url}${path}`);

        expect(answer.status).toBe(401);
        expect(challengeOf(answer)).toContain(`Bearer realm="${gate.url}/v2/auth"`);
        expect(challengeOf(answer)).toContain(`service="${registry.tokens!.service}"`);
        expect(challengeOf(answer)).not.toContain(new URL(registry.tokens!.realm).host);
      },
    );

    it('gives a token for the login of the registry, with which GET /v2/ is 200', async () => {
      const { token, expires_in: life } = await tokenFor(gate.url, owner);

      expect((await send(`${gate.url}/v2/`, { headers: bearer(token) })).status).toBe(200);
      expect(life).toBeGreaterThanOrEqual(60);
    });

    it.each([stranger, { username: 'robot', password: 'wrong' }])(
      'refuses $username where the registry does',
      async (account) => {
        registry.tokens!.owns(account);

        const answer = await askToken(gate.url, account);

        expect([answer.status, errorCode(answer)]).toEqual([401, 'UNAUTHORIZED']);
      },
    );

    it('pulls and pushes with the rights that the registry gives', async () => {
      const { token } = await tokenFor(gate.url, owner, 'repository:team/pushed:pull,push');
      const who = visitor(gate, token);
      const [[blob, bytes] = ['', Buffer.alloc(0)]] = [...image.blobs];

      const upload = await openUpload(who, 'team/pushed');
      const put = await who.ask(withQuery(upload, `digest=${blob}`), {
        method: 'PUT',
        body: bytes,
      });
      const pulled = await who.ask(`/v2/team/pushed/blobs/${blob}`);

      expect(put.status).toBe(201);
      expect(pulled.body.equals(bytes)).toBe(true);
    });

    it('tells a token that is too narrow from one that is good, in the words of the gate', async () => {
      const { token } = await tokenFor(gate.url, guest, 'repository:team/app:pull');

      const answer = await visitor(gate, token).ask('/v2/team/app/manifests/1');

      expect(answer.status).toBe(401);
      expect(challengeOf(answer)).toContain(`realm="${gate.url}/v2/auth"`);
      expect(challengeOf(answer)).toContain('scope="repository:team/app:pull"');
      expect(challengeOf(answer)).toContain('error="insufficient_scope"');
    });

    it('denies what is held to a user whom the registry denies it', async () => {
      const own = await tokenFor(gate.url, owner, 'repository:team/app:pull');
      const held = await visitor(gate, own.token).ask('/v2/team/app/manifests/1');
      await visitor(gate, own.token).ask(`/v2/team/app/blobs/${digest}`);
      const again = await visitor(gate, own.token).ask(`/v2/team/app/blobs/${digest}`);
      const foreign = await tokenFor(gate.url, guest, 'repository:team/app:pull');
      const paths = [
        '/v2/team/app/manifests/1',
        `/v2/team/app/manifests/${String(held.headers['docker-content-digest'])}`,
        `/v2/team/app/blobs/${digest}`,
      ];

      const answers = await Promise.all(
        paths.map((path) => visitor(gate, foreign.token).ask(path)),
      );

      expect(held.status).toBe(200);
      expect(again.headers['cache-status']).toContain('hit');
      expect(answers.map(({ status }) => status)).toEqual([401, 401, 401]);
      for (const { body } of answers) expect(body.equals(image.manifest)).toBe(false);
    });

    it('serves what is held to another user to whom the registry says yes, from the cache', async () => {
      const own = await tokenFor(gate.url, owner, 'repository:public/app:pull');
      await visitor(gate, own.token).ask(`/v2/public/app/blobs/${digest}`);
      const other = await tokenFor(gate.url, guest, 'repository:public/app:pull');

      const pulled = await visitor(gate, other.token).ask(`/v2/public/app/blobs/${digest}`);

      expect(pulled.status).toBe(200);
      expect(pulled.body.equals(image.blobs.get(digest)!)).toBe(true);
      const gets = (await registry.requests()).filter(
        ({ method, path }) => method === 'GET' && path === `/v2/public/app/blobs/${digest}`,
      );
      expect(gets.length).toBeLessThanOrEqual(1);
    });

    it('takes a token that was fetched at the registry itself', async () => {
      const scope = '?scope=repository:team/app:pull';
      const fetched = await send(`${registry.tokens!.realm}${scope}`, { headers: basic(owner) });
      const { token } = fetched.json<{ token: string }>();

      const answer = await visitor(gate, token).ask('/v2/team/app/manifests/1');

      expect(answer.status).toBe(200);
    });

    it.each(['wrapped', 'own'])(
      'never shows the registry a token of the gate that is not for it: %s',
      async (kind) => {
        const { token } = await tokenFor(gate.url, owner, 'repository:team/app:pull');
        const altered =
          kind === 'wrapped'
            ? token.replace(
                /^(tidegate\.[^.]+\.)(.)/,
                (_, head: string, c: string) => `${head}${c === 'A' ? 'B' : 'A'}`,
              )
            : (await tokenFor(gate.url, stranger, 'repository:ghcr.io/org/app:pull')).token;
        const before = (await registry.requests()).length;

        const answer = await visitor(gate, altered).ask('/v2/team/app/manifests/1');

        expect(answer.status).toBe(401);
        expect((await registry.requests()).length).toBe(before);
      },
    );

    it('S10: gives each who asks the same in turn their own rights alone', async () => {
      const scope = 'repository:team/app:pull';
      const status = async (token: string) =>
        (await visitor(gate, token).ask('/v2/team/app/manifests/1')).status;
      const subjectOf = (token: string) => claimsOf(token.split('.').slice(3).join('.'))['sub'];

      const own = await tokenFor(gate.url, owner, scope);
      const foreign = await tokenFor(gate.url, guest, scope);
      const nobody = await askToken(gate.url, undefined, scope);

      expect([await status(own.token), await status(foreign.token)]).toEqual([200, 401]);
      expect(nobody.status).toBe(401);
      expect(subjectOf(own.token)).toBe(owner.username);
      expect(subjectOf(foreign.token)).toBe(guest.username);
    });

    it('redeems refresh tokens, sealed, as docker posts them', async () => {
      const { refresh_token: refresh = '' } = await tokenFor(gate.url, owner);
      const body = new URLSearchParams({
        grant_type: 'refresh_token',
        service: registry.tokens!.service,
        client_id: 'docker',
        scope: 'repository:team/app:pull',
        refresh_token: refresh,
      }).toString();
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };

      const answer = await send(`${gate.url}/v2/auth`, { method: 'POST', headers, body });

      expect(answer.status).toBe(200);
      const { access_token: token } = answer.json<{ access_token: string }>();
      expect((await visitor(gate, token).ask('/v2/team/app/manifests/1')).status).toBe(200);
      expect(refresh).not.toMatch(/^refresh-/);
      expect((await visitor(gate, refresh).ask('/v2/')).status).toBe(401);
    });

    describe('with ACCOUNTS', () => {
      let limited: Gate;

      beforeAll(async () => {
        limited = await relayBefore(registry, listed(owner));
      });

      it('lets the listed login through', async () => {
        const { token } = await tokenFor(limited.url, owner, 'repository:team/app:pull');

        expect((await visitor(limited, token).ask('/v2/team/app/manifests/1')).status).toBe(200);
      });

      it('refuses a login that the registry would take, and does not ask it', async () => {
        const before = registry.tokens!.asked.length;

        const answer = await askToken(limited.url, guest, 'repository:public/app:pull');

        expect(answer.status).toBe(401);
        expect(registry.tokens!.asked.length).toBe(before);
      });

      it('gives nobody a token without a login', async () => {
        expect((await askToken(limited.url, undefined, 'repository:team/app:pull')).status).toBe(
          401,
        );
      });

      it('takes no token that was fetched elsewhere, nor of a gate that lists nobody', async () => {
        const scope = 'repository:team/app:pull';
        const headers = basic(owner);
        const fetched = await send(`${registry.tokens!.realm}?scope=${scope}`, { headers });
        const elsewhere = await tokenFor(gate.url, owner, scope);

        for (const token of [fetched.json<{ token: string }>().token, elsewhere.token])
          expect((await visitor(limited, token).ask('/v2/team/app/manifests/1')).status).toBe(401);
      });
    });
  },
);

describeWith(['docker-registry', 'htpasswd'], 'relay before a registry with Basic', () => {
  const guest: Account = { username: 'guest', password: unique('guest-') };
  let registry: Registry;
  let gate: Gate;
  let limited: Gate;
  let owner: Account;

  beforeAll(async () => {
    registry = await startRegistry({ auth: 'htpasswd', guest });
    owner = registry.credentials!;
    await seed(registry, 'team/app', '1', image);
    [gate, limited] = await Promise.all([
      relayBefore(registry),
      relayBefore(registry, listed(owner)),
    ]);
  });

  it('passes on the challenge, which names no address', async () => {
    const answer = await send(`${gate.url}/v2/`);

    expect(answer.status).toBe(401);
    expect(challengeOf(answer)).toBe('Basic realm="upstream", charset="UTF-8"');
  });

  it('serves whom the registry takes, held and not held', async () => {
    for (const account of [owner, guest, owner]) {
      const answer = await send(`${gate.url}/v2/team/app/blobs/${digest}`, {
        headers: basic(account),
      });
      expect([answer.status, answer.body.equals(image.blobs.get(digest)!)]).toEqual([200, true]);
    }
  });

  it.each([
    ['/v2/', '127.0.0.9'],
    ['/v2/team/app/manifests/1', '127.0.0.10'],
  ])(
    'refuses at %s whom the registry refuses, and counts it as a failed login',
    async (path, from) => {
      const headers = basic({ username: 'one-name', password: 'x' });
      const statuses: number[] = [];
      for (let attempt = 0; attempt < 12; attempt += 1)
        statuses.push((await send(`${gate.url}${path}`, { headers, from })).status);

      expect(statuses.slice(0, 10)).toEqual(Array(10).fill(401));
      expect(statuses.at(-1)).toBe(429);
    },
  );

  it('with ACCOUNTS lets the listed login through alone', async () => {
    const path = `${limited.url}/v2/team/app/manifests/1`;

    expect((await send(path, { headers: basic(owner) })).status).toBe(200);
    expect((await send(path, { headers: basic(guest) })).status).toBe(401);
    expect((await send(path)).status).toBe(401);
  });
});

describeWith(['docker-registry'], 'relay before a registry that asks for nothing', () => {
  const friend: Account = { username: 'friend', password: unique('friend-') };
  let registry: Registry;
  let gate: Gate;
  let limited: Gate;

  beforeAll(async () => {
    registry = await startRegistry();
    await seed(registry, 'team/app', '1', image);
    [gate, limited] = await Promise.all([
      relayBefore(registry),
      relayBefore(registry, listed(friend)),
    ]);
  });

  it('challenges by itself, and signs by itself', async () => {
    const challenge = challengeOf(await send(`${gate.url}/v2/`));
    const { token } = await tokenFor(gate.url, stranger, 'repository:team/app:pull,push');
    const who = visitor(gate, token);

    expect(challenge).toBe(`Bearer realm="${gate.url}/v2/auth",service="tidegate"`);
    expect((await who.ask('/v2/')).status).toBe(200);
    expect((await who.ask('/v2/team/app/manifests/1')).status).toBe(200);
    expect(await openUpload(who, 'team/app')).toMatch(/^\/v2\/team\/app\/blobs\/uploads\//);
  });

  it('takes a push from nobody who shows nothing', async () => {
    const answer = await send(`${gate.url}/v2/team/app/blobs/uploads/`, { method: 'POST' });

    expect(answer.status).toBe(401);
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'with ACCOUNTS takes %s for no login, unless it is listed',
    async (username) => {
      const account = { username, password: unique('pass-') };
      const named = await relayBefore(registry, listed(account));

      expect((await askToken(limited.url, account)).status).toBe(401);
      expect((await askToken(limited.url, { username, password: '' })).status).toBe(401);
      expect((await askToken(named.url, account)).status).toBe(200);
      expect((await askToken(named.url, { username, password: 'wrong' })).status).toBe(401);
      await named.stop();
    },
  );

  it('with ACCOUNTS knows the listed login, and nobody else', async () => {
    const scope = 'repository:team/app:pull,push';
    const { token } = await tokenFor(limited.url, friend, scope);
    const foreign = await tokenFor(gate.url, stranger, scope);

    expect(await openUpload(visitor(limited, token), 'team/app')).toContain('/uploads/');
    expect((await askToken(limited.url, stranger, scope)).status).toBe(401);
    expect((await askToken(limited.url, undefined, scope)).status).toBe(401);
    expect((await visitor(limited, foreign.token).ask('/v2/')).status).toBe(401);
    expect((await send(`${limited.url}/v2/team/app/manifests/1`)).status).toBe(401);
  });
});
