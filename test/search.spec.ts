import { answer, challenge, FaultServer, huge, json, redirect } from './support/fault-server';
import { openGateOfMany, registryAt, type GateOfMany } from './support/gate-of-many';
import { errorCode, send } from './support/http';
import { atTheEnd } from './support/lifecycle';

/** One result as Docker Hub writes it. */
const hit = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  description: `about ${name}`,
  star_count: 3,
  is_official: !name.includes('/'),
  is_automated: false,
  ...more,
});

/** Docker Hub's document. */
const page = (...results: Record<string, unknown>[]) =>
  json({ num_pages: 4, num_results: 93, page: 1, page_size: 25, query: 'x', results });

interface SearchAnswer {
  num_pages: number;
  num_results: number;
  page: number;
  page_size: number;
  query: string;
  results: { name: string; description: string }[];
}

const namesIn = ({ results }: SearchAnswer) => results.map(({ name }) => name);

describe('GET /v1/search', () => {
  let hub: FaultServer;
  let index: FaultServer;
  let ghcr: FaultServer;
  let gate: GateOfMany;

  beforeEach(async () => {
    // Neither the gate's own login at a registry nor the client's here goes where it searches: these own none.
    hub = await FaultServer.start();
    index = await FaultServer.start({ handler: page(hit('nginx'), hit('bitnami/nginx')) });
    ghcr = await FaultServer.start({ handler: page(hit('org/app'), hit('team/app')) });
    const credentials = [{ username: 'robot', password: 'robot-secret' }];
    gate = await openGateOfMany([
      registryAt('docker.io', hub.url, { library: true, search: index.url, credentials }),
      registryAt('ghcr.io', ghcr.url, { hosts: ['ghcr.example.com'], credentials }),
    ]);
    for (const server of [hub, index, ghcr]) atTheEnd(() => server.close());
  });

  const search = async (query: string, headers: Record<string, string> = {}) => {
    const found = await gate.ask(`/v1/search?${query}`, { headers });
    expect([found.status, found.headers['content-type']]).toEqual([200, 'application/json']);
    return found.json<SearchAnswer & Record<string, unknown>>();
  };

  it('asks the registry’s search host, and never the registry', async () => {
    const found = await search('q=nginx&n=25&page=2');

    expect(index.requests.map(({ url }) => url)).toEqual(['/v1/search?q=nginx&n=25&page=2']);
    expect(hub.requests).toEqual([]);
    expect(namesIn(found)).toEqual(['nginx', 'bitnami/nginx']);
  });

  it('gives Docker Hub’s document, made of the fields that are known', async () => {
    index.handler = page(hit('nginx', { is_trusted: true, pull_count: 5, owner: 'x' }));

    expect(await search('q=nginx')).toEqual({
      num_pages: 4,
      num_results: 93,
      page: 1,
      page_size: 25,
      query: 'nginx',
      results: [hit('nginx')],
    });
  });

  it.each([
    ['by path', 'q=ghcr.io/app', {}, ['ghcr.io/org/app', 'ghcr.io/team/app']],
    ['by ns', 'q=app&ns=ghcr.io', {}, ['org/app', 'team/app']],
    ['by host', 'q=app', { host: 'ghcr.example.com' }, ['org/app', 'team/app']],
  ])('reaches another registry %s, and says names as they are said there', async (...row) => {
    const [, query, headers, names] = row;

    const found = await search(query, headers);

    expect(namesIn(found)).toEqual(names);
    expect(ghcr.requests.map(({ url }) => url)).toEqual(['/v1/search?q=app']);
    expect(index.requests).toEqual([]);
  });

  it('passes a term on as it is, whatever it holds', async () => {
    await search(`q=${encodeURIComponent('a&n=9 /../b?#%')}`);

    const { searchParams, pathname } = new URL(index.requests[0]?.url ?? '', index.url);
    expect([pathname, [...searchParams]]).toEqual(['/v1/search', [['q', 'a&n=9 /../b?#%']]]);
  });

  it('leaves out what the account may not pull, and what would give its number away', async () => {
    const headers = await gate.account('ann', 'ghcr.io/team/**');

    const some = await search('q=ghcr.io/app&page=1', headers);
    const none = await search('q=nginx', headers);

    expect(some).toMatchObject({ num_pages: 1, num_results: 1 });
    expect(namesIn(some)).toEqual(['ghcr.io/team/app']);
    expect(none).toMatchObject({ num_pages: 1, num_results: 0, results: [] });
  });

  it('leaves out names that no pull at the gate would find', async () => {
    const odd = ['Upper/case', '../x', 'a b', 'ghcr.io/org/app', 'evil.example/x', '', 'good/one'];
    index.handler = page(...odd.map((name) => hit(name)));

    expect(namesIn(await search('q=x'))).toEqual(['good/one']);
  });

  it('shows no more than were asked for, and texts that a terminal can take', async () => {
    const description = `\u001b[2Jhidden\u0007\n${'x'.repeat(1000)}`;
    index.handler = page(
      ...Array.from({ length: 300 }, (_, at) => hit(`a/b${at}`, { description })),
    );

    const ten = await search('q=b&n=10');
    const all = await search('q=b');

    expect([ten.results.length, all.results.length]).toEqual([10, 100]);
    expect(ten.results[0]?.description).toMatch(/^\[2Jhidden x{400,500}$/);
  });

  it('reads what other registries leave out as nothing', async () => {
    index.handler = json({ results: [{ name: 'org/app', description: null }] });

    expect(await search('q=app')).toEqual({
      num_pages: 1,
      num_results: 1,
      page: 1,
      page_size: 1,
      query: 'app',
      results: [
        {
          name: 'org/app',
          description: '',
          star_count: 0,
          is_official: false,
          is_automated: false,
        },
      ],
    });
  });

  it.each([
    ['knows no search', answer(404), 404, 'NOT_FOUND', 'docker.io has no search'],
    ['has none by this method', answer(405), 404, 'NOT_FOUND', 'docker.io has no search'],
    ['asks for a login', challenge('Basic realm="x"'), 403, 'DENIED', 'without a login'],
    ['refuses', answer(403), 403, 'DENIED', 'without a login'],
    ['finds fault with the term', answer(400), 502, 'UNAVAILABLE', 'answered 400'],
    ['is a web page', answer(200, '<html>'), 502, 'UNAVAILABLE', 'no list of repositories'],
    ['lists no names', json({ results: [{ name: 5 }] }), 502, 'UNAVAILABLE', 'no list'],
    ['is a GiB long', huge(1024 ** 3), 502, 'UNAVAILABLE', 'bytes'],
    ['leads to a loop', redirect('/v1/search?q=x'), 502, 'UNAVAILABLE', 'redirects'],
  ])('says so where the search host %s', async (_what, behaviour, status, code, words) => {
    index.handler = behaviour;

    const refused = await gate.ask('/v1/search?q=x');

    expect([refused.status, errorCode(refused)]).toEqual([status, code]);
    expect(refused.text).toContain(words);
  });

  it('leaves a search host alone that asks for patience, and the registry is not concerned', async () => {
    index.handler = answer(429, '', { 'retry-after': '30' });

    const first = await gate.ask('/v1/search?q=x');
    const second = await gate.ask('/v1/search?q=x');
    await gate.ask('/v2/library/nginx/tags/list');

    expect([first.status, second.status]).toEqual([429, 429]);
    expect([index.requests.length, hub.requests.length]).toEqual([1, 1]);
    hub.requests.length = 0;
  });

  it('does not take a search host’s silence for the registry’s', async () => {
    const { host } = index;
    await index.close();

    const refused = await gate.ask('/v1/search?q=x');
    const listed = await gate.ask('/v2/library/nginx/tags/list');
    const health = await gate.ask('/health');
    hub.requests.length = 0;

    expect([refused.status, listed.status]).toEqual([503, 404]);
    expect(health.text).toContain(host);
    expect(health.text).not.toContain('docker.io');
  });

  it('refuses a term for a registry that is not configured, and asks nobody', async () => {
    const unknown = await gate.ask('/v1/search?q=evil.example/app');
    const empty = await gate.ask('/v1/search?q=ghcr.io/');

    expect([unknown.status, errorCode(unknown)]).toEqual([404, 'NAME_UNKNOWN']);
    expect(empty.status).toBe(400);
    expect([hub, index, ghcr].flatMap(({ requests }) => requests)).toEqual([]);
  });

  it('is for those who may pull at all: a stranger is asked to log in', async () => {
    const stranger = await send(`${gate.url}/v1/search?q=x`);

    expect(stranger.status).toBe(401);
    expect(stranger.headers['www-authenticate']).toMatch(/^Bearer realm="/);
    expect(index.requests).toEqual([]);
  });
});

describe('GET /v1/_ping', () => {
  it('tells docker that the gate stands alone, so that it shows its login', async () => {
    const gate = await openGateOfMany([registryAt('docker.io', new URL('http://127.0.0.1:1'))]);

    const ping = await send(`${gate.url}/v1/_ping`);

    expect([ping.status, ping.json()]).toEqual([200, { standalone: true }]);
    expect(ping.headers['x-docker-registry-standalone']).toBe('true');
  });
});
