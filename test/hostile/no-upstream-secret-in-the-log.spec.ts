/** S31: what the gate learns from its upstream is as secret as what it learns from its clients. */
import { randomBytes } from 'node:crypto';
import { ConnectProxy } from '../support/connect-proxy';
import { answer, challenge, FaultServer, json, redirect, reset } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, sha256, unique } from '../support/http';
import { atTheEnd } from '../support/lifecycle';
import { openUpload, visit, withQuery } from '../support/stand';

const BLOB = randomBytes(1_000);
const MANIFEST = Buffer.from('{"schemaVersion":2}');
const TYPE = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };

describe.each(['debug', 'trace'])('S31: the log at level %s', (level) => {
  const secrets = new Map<string, string>();
  const keep = (what: string) => {
    const secret = unique(`${what}-`);
    secrets.set(what, secret);
    return secret;
  };

  /** Neither as it is nor encoded; and what may be shown is, so that it is the right text that is searched. */
  function expectNone(gate: Gate): void {
    const output = gate.output();
    for (const [what, secret] of secrets) {
      const base64 = Buffer.from(secret).toString('base64').replace(/=+$/, '').slice(1, -2);
      for (const form of [secret, encodeURIComponent(secret), base64])
        expect([what, form, output.includes(form)]).toEqual([what, form, false]);
    }
  }

  it('and the audit hold no token, upload address, signed address or login of an upstream', async () => {
    const password = keep('upstream-password');
    const token = keep('upstream-token');
    const state = keep('upload-state');
    const signature = keep('signature');
    const proxyPassword = keep('proxy-password');
    let failing = false;
    const content = await FaultServer.start({ handler: answer(200, BLOB) });
    const own = [basic({ username: 'robot', password }).authorization, `Bearer ${token}`];
    const upstream = await FaultServer.start({ own });
    const proxy = await ConnectProxy.start({ username: 'gate', password: proxyPassword });
    atTheEnd(() => proxy.close());
    const realm = `${upstream.url.origin}/token`;
    upstream.handler = (request, response, seen) => {
      const { method, url = '', headers } = request;
      if (url.startsWith('/token')) return json({ token })(request, response, seen);
      if (headers.authorization !== `Bearer ${token}`)
        return challenge(`Bearer realm="${realm}",service="s"`)(request, response, seen);
      if (failing) return reset()(request, response, seen);
      if (method === 'DELETE') return answer(202)(request, response, seen);
      if (url.includes('/manifests/') && method === 'GET')
        return answer(200, MANIFEST, TYPE)(request, response, seen);
      if (method === 'GET')
        return redirect(`${content.url}blob?X-Amz-Signature=${signature}`)(request, response, seen);
      request.resume().on('end', () => {
        const location = `/up/load?_state=${state}`;
        const status = method === 'PUT' ? 201 : 202;
        answer(status, '', { location, 'docker-upload-uuid': 'u1', range: '0-0' })(
          request,
          response,
          seen,
        );
      });
      return undefined;
    };
    const gate = await startGate({
      UPSTREAM_REGISTRY: upstream.url.origin,
      UPSTREAM_USERNAME: 'robot',
      UPSTREAM_PASSWORD: password,
      HTTP_PROXY: proxy.url.href,
      LOG_LEVEL: level,
    });
    const account = await gate.addAccount();
    const who = await visit(gate, account, 'team/app', '*');
    secrets.set('access token', who.token);
    const sealed = (address: string | undefined) => {
      const [, sealedState = ''] = /_state=([\w-]+)/.exec(address ?? '') ?? [];
      expect(sealedState.length).toBeGreaterThan(20);
      secrets.set(`sealed address ${secrets.size}`, sealedState);
      return address ?? '';
    };

    const pulled = await who.ask(`/v2/team/app/blobs/${sha256(BLOB)}`);
    const first = sealed(await openUpload(who, 'team/app'));
    const patched = await who.ask(first, { method: 'PATCH', body: BLOB });
    const second = sealed(patched.headers.location);
    const end = withQuery(second, `digest=${sha256(BLOB)}`);
    const put = await who.ask(end, { method: 'PUT' });
    const manifest = { method: 'PUT', headers: TYPE, body: MANIFEST };
    const tagged = await who.ask('/v2/team/app/manifests/1', manifest);
    const digest = `/v2/team/app/manifests/${sha256(MANIFEST)}`;
    const removed = await who.ask(digest, { method: 'DELETE' });
    await visit(gate, await gate.addAccount([]), 'team/app', 'pull').then((other) =>
      other.ask('/v2/team/app/manifests/1'),
    );
    // Addresses in the wrong hands, and failures on the way, are what logs like to tell of.
    await who.ask(first.replace('team/app', 'team/other'), { method: 'PATCH', body: 'x' });
    const third = sealed(await openUpload(who, 'team/app'));
    failing = true;
    const failed = await who.ask(third, { method: 'PATCH', body: BLOB });
    await content.close();
    failing = false;
    const gone = await who.ask(`/v2/team/app/blobs/${sha256('gone')}`);
    await proxy.close();
    await who.ask('/v2/team/app/manifests/1');

    expect(pulled.body.equals(BLOB)).toBe(true);
    expect([patched, put, tagged, removed].map(({ status }) => status)).toEqual([
      202, 201, 201, 202,
    ]);
    expect([failed.status, gone.status].every((status) => status >= 500)).toBe(true);
    expect(content.requests[0]?.url).toContain(signature);
    expect(upstream.requests.some(({ url }) => url.includes(state))).toBe(true);
    const audited = new Set(gate.logs().map(({ audit }) => audit));
    for (const event of ['account.created', 'login', 'denied', 'push', 'delete'])
      expect(audited).toContain(event);
    expectNone(gate);
  });
});
