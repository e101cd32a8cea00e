/** One account, or one registry, that takes what all share: the processor, the room for manifests and listings. */
import { writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { answer, FaultServer, json, type Behaviour } from '../support/fault-server';
import { startGate } from '../support/gate';
import { basic, send } from '../support/http';
import { atTheEnd, eventually, freshFolder } from '../support/lifecycle';

const upstream = (handler: Behaviour) => FaultServer.start({ handler });

describe('an account with hundreds of rules', () => {
  it('lists thousands of repositories without keeping the gate from all others', async () => {
    const pages = 5;
    const registry = await upstream((_request, response, seen) => {
      const page = Number(/last=(\d+)/.exec(seen.url)?.[1] ?? 0);
      const repositories = Array.from({ length: 1000 }, (_, at) => `team-${page}/app-${at}`);
      const link = `</v2/_catalog?n=1000&last=${page + 1}>; rel="next"`;
      const more = page + 1 < pages ? { link } : {};
      return json({ repositories }, more)(_request, response, seen);
    });
    const gate = await startGate({ UPSTREAM_REGISTRY: registry.url.origin });
    atTheEnd(() => gate.stop('SIGKILL'));
    const access = Array.from({ length: 500 }, (_, at) => ({
      repository: `**/app-${at}/x*`,
      actions: ['pull' as const, 'push' as const],
    }));
    const account = await gate.addAccount(access);
    await send(`${gate.url}/v2/`, { headers: basic(account) });
    const before = gate.processorTime();

    const listed = await send(`${gate.url}/v2/_catalog`, { headers: basic(account) });

    expect(listed.json()).toEqual({ repositories: [] });
    expect(registry.requests).toHaveLength(pages);
    // Two and a half million comparisons: half a second. To read the patterns anew for each took a minute.
    expect(gate.processorTime() - before).toBeLessThan(6);
  });
});

describe('a registry that never comes to the end of its listings', () => {
  it('takes no room from the clients of others', async () => {
    const healthy = await upstream(
      answer(200, '{"name":"team/app","tags":["1"]}', { 'content-length': undefined }),
    );
    let drops = 0;
    const dripping = await upstream((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const drip = setInterval(() => {
        response.write(' ');
        drops += 1;
      }, 200);
      response.once('close', () => clearInterval(drip));
    });
    const folder = freshFolder('registries');
    const file = join(folder, 'tidegate.yaml');
    writeFileSync(file, `registries:\n  - { name: drips.test, url: '${dripping.url.origin}' }\n`);
    const gate = await startGate({
      AUTH_MODE: 'open',
      UPSTREAM_REGISTRY: healthy.url.origin,
      CONFIG_FILE: file,
    });
    atTheEnd(() => gate.stop('SIGKILL'));
    // As many as there is room for, two of each client's address.
    for (let at = 0; at < 8; at += 1) {
      const path = `/v2/drips.test/team/app${at}/tags/list`;
      const localAddress = `127.0.0.${2 + (at >> 1)}`;
      const { port } = gate;
      const asking = request({ host: '127.0.0.1', port, path, localAddress, agent: false });
      asking.on('error', () => undefined).end();
      atTheEnd(() => asking.destroy());
    }
    await eventually('all of them have begun to come', () => drops > 60);
    expect(dripping.requests).toHaveLength(8);

    const listed = await send(`${gate.url}/v2/team/app/tags/list`);

    expect([listed.status, listed.text]).toEqual([200, '{"name":"team/app","tags":["1"]}']);
  });
});
