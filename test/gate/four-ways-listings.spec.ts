import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startGate, type Gate } from '../support/gate';
import { bearer, send, sha256, tokenFor, type Account, type Answer } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { freshFolder } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const TAGS = ['1', '2', '3', '4', '5'];
const REPOSITORIES = ['org/app', 'org/else', 'org/other'];

/** Each way: what stands in front of a name, what at the end of an address, and the Host header. */
const WAYS = [
  { way: 'default', at: 'one', prefix: '', ns: '', host: 'localhost' },
  { way: 'path', at: 'two', prefix: 'two.example/', ns: '', host: 'localhost' },
  { way: 'ns', at: 'two', prefix: '', ns: 'two.example', host: 'localhost' },
  { way: 'host', at: 'two', prefix: '', ns: '', host: 'two.gate.example' },
] as const;

describeWith(['docker-registry'], 'two real registries behind one gate, reached by', () => {
  let registries: Record<'one' | 'two', Registry>;
  let gate: Gate;
  let account: Account;

  beforeAll(async () => {
    registries = { one: await startRegistry(), two: await startRegistry() };
    for (const registry of Object.values(registries)) {
      const image = imageOf(layersWith(1000));
      for (const tag of TAGS) await seed(registry, 'org/app', tag, image);
      for (const name of REPOSITORIES.slice(1)) await seed(registry, name, '1', image);
    }
    const file = join(freshFolder('config'), 'tidegate.yaml');
    const url = registries.two.url;
    const two = { name: 'two.example', url, hosts: ['two.gate.example'] };
    writeFileSync(file, JSON.stringify({ registries: [two] })); // JSON is YAML
    gate = await startGate({ ...registries.one.settings, CONFIG_FILE: file });
    account = await gate.addAccount();
  });

  describe.each(WAYS)('$way', ({ at, prefix, ns, host }) => {
    const withNs = (path: string) =>
      ns === '' ? path : `${path}${path.includes('?') ? '&' : '?'}ns=${ns}`;

    /** A client of this way: it takes its scope and its realm from the challenge, as real ones do. */
    const ask = async (path: string, sending: Parameters<typeof send>[1] = {}): Promise<Answer> => {
      const url = `${gate.url}${path}`;
      const first = await send(url, { method: sending.method, headers: { host } });
      const asks = String(first.headers['www-authenticate']);
      const realm = /realm="([^"]*)"/.exec(asks)?.[1] ?? '';
      const scope = /scope="([^"]*)"/.exec(asks)?.[1] ?? '';
      expect([first.status, new URL(realm).host]).toEqual([401, host]);
      const query = `${new URL(realm).search || '?'}&scope=${encodeURIComponent(scope)}`;
      const login = Buffer.from(`${account.username}:${account.password}`).toString('base64');
      const token = await send(`${gate.url}/v2/auth${query}`, {
        headers: { host, authorization: `Basic ${login}` },
      });
      const headers = { host, ...bearer(token.json<{ token: string }>().token) };
      const got = await send(url, { ...sending, headers: { ...headers, ...sending.headers } });
      const named = [first, token, got].map((answer) => answer.headers['oci-namespace'] ?? '');
      expect(named).toEqual([ns, ns, ns]);
      return got;
    };

    const pages = async <T>(path: string): Promise<T[]> => {
      const all: T[] = [];
      for (let next: string | undefined = withNs(path); next !== undefined;) {
        const got: Answer = await ask(next);
        expect([next, got.status]).toEqual([next, 200]);
        all.push(got.json<T>());
        if (all.length > 10) throw new Error(`the pages have no end: ${next}`);
        next = /^<([^>]+)>; rel="next"$/.exec(String(got.headers.link ?? ''))?.[1];
      }
      return all;
    };

    // This registry gives them all at once, and in no order; pages of tags are those of a scripted one's spec.
    it('lists all tags, under the name that was asked for', async () => {
      const all = await pages<{ name: string; tags: string[] }>(`/v2/${prefix}org/app/tags/list`);

      expect(all.map(({ name }) => name)).toEqual([`${prefix}org/app`]);
      expect(all.flatMap(({ tags }) => tags).toSorted()).toEqual(TAGS);
    });

    it('lists all repositories from Link to Link', async () => {
      const all = await pages<{ repositories: string[] }>(`/v2/${prefix}_catalog?n=2`);

      const listed = all.map(({ repositories }) => repositories);
      expect(listed.flat()).toEqual(REPOSITORIES.map((name) => `${prefix}${name}`));
      expect(listed.map(({ length }) => length)).toEqual([2, 1]);
    });

    it('passes on that this registry knows no referrers, and no search', async () => {
      const digest = sha256('x');

      const referrers = await ask(withNs(`/v2/${prefix}org/app/referrers/${digest}`));
      const search = await ask(withNs(`/v1/search?q=${prefix}app`));

      expect([referrers.status, search.status]).toEqual([404, 404]);
      expect(search.text).toContain('has no search');
    });

    it('pushes a blob by the addresses that it is given, to the registry that was named', async () => {
      const blob = `of ${at} by ${prefix}${ns}${host}`;
      const uploads = withNs(`/v2/${prefix}org/app/blobs/uploads/`);

      const begun = await ask(uploads, { method: 'POST' });
      const patched = await ask(begun.headers.location ?? '', { method: 'PATCH', body: blob });
      const last = `${patched.headers.location}&digest=${sha256(blob)}`;
      const ended = await ask(last, { method: 'PUT' });
      const got = await ask(ended.headers.location ?? '');

      expect([begun, patched, ended].map(({ status }) => status)).toEqual([202, 202, 201]);
      expect([got.status, got.text]).toEqual([200, blob]);
      const held = `/v2/org/app/blobs/${sha256(blob)}`;
      const other = at === 'one' ? 'two' : 'one';
      expect((await registries[at].ask(held)).status).toBe(200);
      expect((await registries[other].ask(held)).status).toBe(404);
    });
  });

  it('a token for one registry’s repository opens no other’s of the same name', async () => {
    const { token } = await tokenFor(gate.url, account, 'repository:two.example/org/app:pull');
    const ask = (path: string, host = 'localhost') =>
      send(`${gate.url}${path}`, { headers: { host, ...bearer(token) } });

    const answers = [
      await ask('/v2/two.example/org/app/tags/list'),
      await ask('/v2/org/app/tags/list?ns=two.example'),
      await ask('/v2/org/app/tags/list', 'two.gate.example'),
      await ask('/v2/org/app/tags/list'),
    ];

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 401]);
  });
});
