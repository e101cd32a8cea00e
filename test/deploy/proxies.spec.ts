/** The samples for nginx and Caddy, run by the real ones between a real client and a gate with a real registry. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { skopeo, strict } from '../support/clients';
import { FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, send, unique } from '../support/http';
import { imageOf, layersWith, MIB, writeLayout } from '../support/images';
import { atTheEnd, eventually, freshFolder } from '../support/lifecycle';
import { startRegistry } from '../support/registry';
import {
  checkCaddy,
  checkNginx,
  proxyPorts,
  startCaddy,
  startNginx,
  through,
  type Proxy,
  type ProxyPorts,
} from '../support/reverse-proxy';
import { describeWith } from '../support/tools';
import { composeEnvironment, nginxEnvironment } from './samples';

type Start = (ports: ProxyPorts, gate: Gate) => Promise<Proxy>;

/** A gate with what the sample tells it, and the proxy in front. */
async function behind(start: Start, trust: string | undefined, env: Record<string, string>) {
  const ports = await proxyPorts();
  const PUBLIC_URL = `https://localhost:${ports.tls}`;
  const gate = await startGate({ ...env, PUBLIC_URL, TRUST_PROXY: trust ?? '' });
  return { gate, proxy: await start(ports, gate) };
}

describe.each([
  ['nginx', startNginx, nginxEnvironment()['TRUST_PROXY']],
  ['caddy', startCaddy, composeEnvironment('caddy/compose.yaml')['TRUST_PROXY']],
] as const)('%s', (name, start, trust) => {
  describeWith([name, 'docker-registry', 'skopeo', 'openssl'], 'before a gate', () => {
    it('lets a client log in, push and pull, large layers too, and keeps none of them', async () => {
      const registry = await startRegistry();
      const { gate, proxy } = await behind(start, trust, registry.settings);
      const { username, password } = await gate.addAccount();
      const image = imageOf(layersWith(64 * MIB));
      const [layout, out] = [freshFolder('layout'), freshFolder('out')];
      writeLayout(layout, '1', image);
      const remote = `docker://${proxy.host}/team/app:1`;
      const client = strict(skopeo());
      const { certificates } = proxy;

      await client('login', '--cert-dir', certificates, '-u', username, '-p', password, proxy.host);
      await client('copy', '--dest-cert-dir', certificates, `oci:${layout}:1`, remote);
      await gate.rest('DELETE', '/cache'); // so that the pull comes all the way
      await client('copy', '--src-cert-dir', certificates, remote, `dir:${out}`);

      const headers = { accept: image.mediaType };
      const held = await registry.ask('/v2/team/app/manifests/1', { headers });
      expect(held.headers['docker-content-digest']).toBe(image.digest);
      for (const [digest, bytes] of image.blobs) {
        expect(readFileSync(join(out, digest.slice(7))).equals(bytes)).toBe(true);
      }
    });

    it("tells the gate the client's own address, whatever the client says of it", async () => {
      const { gate, proxy } = await behind(start, trust, { UPSTREAM_REGISTRY: 'localhost:9' });
      const username = unique('nobody-');
      const headers = {
        ...basic({ username, password: 'wrong' }),
        'x-forwarded-for': '203.0.113.9',
        'x-real-ip': '203.0.113.9',
        forwarded: 'for=203.0.113.9',
      };

      const answer = await through(proxy, '/v2/', { headers, from: '127.0.0.2' });

      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toContain(`realm="https://${proxy.host}/v2/auth"`);
      const seen = await eventually('the refusal is in the log', () =>
        gate.logs().find(({ msg, code }) => msg === 'request' && code === 'UNAUTHORIZED'),
      );
      expect(seen['address']).toBe('127.0.0.2');
    });

    it('passes on the address of an upload, however long it is, and what comes to it', async () => {
      const upstream = await FaultServer.start();
      atTheEnd(() => upstream.close());
      const state = `/v2/team/app/blobs/uploads/1?_state=${'s'.repeat(3800)}`;
      upstream.handler = (request, response) => {
        request.resume();
        response.writeHead(202, { location: state, range: '0-3', 'docker-upload-uuid': '1' }).end();
      };
      const env = { UPSTREAM_REGISTRY: upstream.url.origin };
      const { gate, proxy } = await behind(start, trust, env);
      const headers = basic(await gate.addAccount());

      const opened = await through(proxy, '/v2/team/app/blobs/uploads/', {
        method: 'POST',
        headers,
      });
      const location = String(opened.headers['location']);
      const sent = await through(proxy, location, { method: 'PATCH', headers, body: 'body' });

      expect([opened.status, sent.status]).toEqual([202, 202]);
      expect(location.length).toBeGreaterThan(4096);
      expect(upstream.requests.at(-1)).toMatchObject({ method: 'PATCH', url: state });
    });

    it('leads to the registry of the host that was asked, and tells that host back', async () => {
      const env = { UPSTREAM_REGISTRY: 'localhost:9', CUSTOM_DOMAIN: 'localhost' };
      const { proxy } = await behind(start, trust, env);
      const [, port] = proxy.host.split(':');

      const answer = await through(proxy, '/v2/org/app/tags/list', { name: 'ghcr.localhost' });

      expect(answer.status).toBe(401);
      const challenge = answer.headers['www-authenticate'];
      expect(challenge).toContain(`realm="https://ghcr.localhost:${port}/v2/auth"`);
      expect(challenge).toContain('scope="repository:org/app:pull"');
    });

    it('sends those who come without TLS to https', async () => {
      const { proxy } = await behind(start, trust, { UPSTREAM_REGISTRY: 'localhost:9' });

      const answer = await send(`${proxy.plain}/v2/a/tags/list?n=1`);

      expect([301, 308]).toContain(answer.status);
      expect(answer.headers.location).toMatch(
        /^https:\/\/localhost(?::\d+)?\/v2\/a\/tags\/list\?n=1$/,
      );
    });
  });
});

describeWith(['nginx', 'openssl'], "nginx's own check", () => {
  it('takes the sample without a warning', async () => {
    const { code, output } = await checkNginx();

    expect(output).toContain('test is successful');
    expect([code, output]).toEqual([0, expect.not.stringMatching(/\[(?:warn|emerg)\]/)]);
  });
});

describeWith(['caddy'], 'Caddy', () => {
  it.each(['', 'docker.localhost ghcr.localhost'])(
    'takes the sample, with the hosts "%s", too',
    async (hosts) => {
      const { code, output } = await checkCaddy(hosts);

      expect([code, output]).toEqual([0, expect.stringContaining('Valid configuration')]);
    },
  );

  it('lets those wait who come while the gate starts again', async () => {
    const { gate, proxy } = await behind(startCaddy, '1', { UPSTREAM_REGISTRY: 'localhost:9' });
    await gate.stop();

    const waiting = through(proxy, '/v2/');
    await gate.restart();

    expect((await waiting).status).toBe(401);
  });
});
