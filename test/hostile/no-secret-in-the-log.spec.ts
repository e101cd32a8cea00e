import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { askToken, basic, bearer, send, sha256, tokenFor, unique } from '../support/http';
import { openUpload, startStand, visit, withQuery } from '../support/stand';
import { describeWith } from '../support/tools';

const SIGNED = `X-Amz-Signature=${randomBytes(16).toString('hex')}`;

describeWith(
  ['docker-registry', 'htpasswd', 'openssl'],
  'S31: the log at its most talkative',
  () => {
    /** Whatever may not be found, by what it is. */
    const secrets = new Map<string, string>();
    const keep = (what: string, secret: string | undefined) => {
      if (!secret || secret.length < 8) throw new Error(`no ${what} to look for`);
      secrets.set(what, secret);
      return secret;
    };

    function expectNone(gate: Gate): void {
      const output = gate.output();
      expect(output.length).toBeGreaterThan(1_000);
      for (const [what, secret] of secrets) {
        expect([what, output.includes(secret)]).toEqual([what, false]);
        expect([what, output.includes(encodeURIComponent(secret))]).toEqual([what, false]);
      }
    }

    it.each(['htpasswd', 'token'] as const)(
      'holds no secret after work and mischief (%s)',
      async (auth) => {
        const { gate, registry } = await startStand(auth, { LOG_LEVEL: 'trace' });
        keep('upstream password', registry.credentials?.password);
        keep('admin password', gate.admin.password);
        keep('token secret', readFileSync(join(gate.dataDir, 'token-secret'), 'utf8').trim());
        const account = await gate.addAccount();
        keep('password', account.password);
        keep('Basic header', basic(account).authorization.slice('Basic '.length));
        const { token, refresh_token } = await tokenFor(
          gate.url,
          account,
          'repository:team/app:pull,push',
        );
        keep('signature of a token', token.split('.')[2]);
        keep('token', token);
        keep('refresh token', refresh_token);
        const form = (body: Record<string, string>) => {
          const headers = { 'content-type': 'application/x-www-form-urlencoded' };
          const text = new URLSearchParams(body).toString();
          return send(`${gate.url}/v2/auth`, { method: 'POST', headers, body: text });
        };
        await form({ grant_type: 'password', ...account, service: 'x', client_id: 'x' });
        await form({
          grant_type: 'refresh_token',
          refresh_token: refresh_token ?? '',
          service: 'x',
        });

        const who = await visit(gate, account, 'team/app', 'pull,push');
        const blob = randomBytes(10_000);
        const address = await openUpload(who, 'team/app');
        keep('upload address', /_state=([\w-]+)/.exec(address)?.[1]);
        await who.ask(address.replace('app', 'other'));
        const put = { method: 'PUT', body: blob };
        expect((await who.ask(withQuery(address, `digest=${sha256(blob)}`), put)).status).toBe(201);
        await who.ask(`/v2/team/app/blobs/${sha256(blob)}`);
        await who.ask('/v2/team/app/manifests/none');

        const wrong = { ...account, password: keep('wrong password', unique('wrong-')) };
        await askToken(gate.url, wrong);
        await send(`${gate.url}/v2/?password=${keep('query', unique('query-'))}`, {
          headers: bearer(token),
        });
        await send(`${gate.url}/nowhere/${keep('path', unique('path-'))}`);
        await send(`${gate.url}/v2/`, {
          headers: bearer(keep('made-up token', unique('made.up.'))),
        });
        await send(`${gate.url}/v2/`, {
          headers: { authorization: keep('odd header', unique('Odd ')) },
        });
        await send(`${gate.url}/v2/`, { headers: { cookie: keep('cookie', unique('session=')) } });
        const changed = { password: keep('new password', unique('new-')) };
        await gate.changeAccount(account, changed);
        await gate.rest('POST', '/users', {
          username: 'x',
          pasword: keep('misspelt field', unique('typo-')),
        });
        await gate.rest('POST', '/users', { username: 'a:b', ...changed });

        expectNone(gate);
      },
    );

    it('holds no signed address of a redirect, and no token of an upstream', async () => {
      const blob = randomBytes(1_000);
      const cdn = await FaultServer.start({
        handler: (request, response) => {
          if (request.url?.includes('gone')) response.writeHead(403).end('<Error/>');
          else response.writeHead(200, { 'content-length': blob.length }).end(blob);
        },
      });
      const upstream = await FaultServer.start({
        handler: (request, response) => {
          const path = request.url?.includes(sha256(blob)) ? 'blob' : 'gone';
          response.writeHead(307, { location: `${cdn.url}${path}?${SIGNED}` }).end();
        },
      });
      const gate = await startGate({ UPSTREAM_REGISTRY: upstream.url.origin, LOG_LEVEL: 'trace' });
      secrets.set('signature', SIGNED);
      const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull');

      const found = await who.ask(`/v2/team/app/blobs/${sha256(blob)}`);
      const gone = await who.ask(`/v2/team/app/blobs/${sha256('gone')}`);

      expect(found.body.equals(blob)).toBe(true);
      expect(gone.status).toBeGreaterThanOrEqual(400);
      expect(`${gone.text}${JSON.stringify(gone.headers)}`).not.toContain(SIGNED);
      expect(cdn.requests.map(({ url }) => url)).toContain(`/blob?${SIGNED}`);
      expectNone(gate);
    });
  },
);
