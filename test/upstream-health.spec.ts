/** What /health tells an operator of upstreams that do not serve the gate. */
import { selfSigned } from './support/certificates';
import { answer, challenge, FaultServer, type Behaviour } from './support/fault-server';
import { type InnerGate, openInnerGate } from './support/inner-gate';

const LOGIN = { UPSTREAM_USERNAME: 'robot', UPSTREAM_PASSWORD: 'hunter2hunter2' };
const ROBOT = `Basic ${Buffer.from('robot:hunter2hunter2').toString('base64')}`;
const SINCE = String.raw`since \d{4}-\d\d-\d\dT[\d:.]+Z: `;

const ends: Array<() => Promise<unknown>> = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function gateBefore(upstream: FaultServer): Promise<InnerGate> {
  ends.push(() => upstream.close());
  const gate = await openInnerGate({ UPSTREAM_REGISTRY: upstream.url.origin, ...LOGIN });
  ends.push(() => gate.close());
  return gate;
}

async function pull({ url, admin }: InnerGate, name = 'team/app'): Promise<number> {
  const path = `${url}/v2/${name}/manifests/1`;
  return (await fetch(path, { headers: { authorization: admin } })).status;
}

async function health({ url, admin }: InnerGate) {
  const response = await fetch(`${url}/health`, { headers: { authorization: admin } });
  const { status, checks } = (await response.json()) as {
    status: string;
    checks: { upstream: { status: string; detail?: string } };
  };
  return { http: response.status, gate: status, ...checks.upstream };
}

it('is degraded while the gate cannot trust the TLS of its upstream', async () => {
  const gate = await gateBefore(await FaultServer.start({ tls: selfSigned([], ['127.0.0.1']) }));
  expect(await health(gate)).toEqual({ http: 200, gate: 'ok', status: 'up' });

  expect(await pull(gate)).toBe(502);

  expect(await health(gate)).toEqual({
    http: 200,
    gate: 'degraded',
    status: 'degraded',
    detail: expect.stringMatching(new RegExp(`^${SINCE}.* has a self-signed TLS certificate`)),
  });
});

it('is degraded while its own credentials are refused, and up again once they are taken', async () => {
  const refusing: Behaviour = challenge('Basic realm="r"');
  const upstream = await FaultServer.start({ handler: refusing, own: [ROBOT] });
  const gate = await gateBefore(upstream);

  await pull(gate);

  const told = await health(gate);
  expect(told).toMatchObject({
    status: 'degraded',
    detail: expect.stringMatching(new RegExp(`^${SINCE}the gate's own credentials for `)),
  });
  expect(told.detail).toContain('(user robot)');
  expect(told.detail).not.toMatch(/hunter2/);
  const stranger = await fetch(`${gate.url}/health`);
  expect(await stranger.json()).toEqual({ status: 'degraded' });

  upstream.handler = (request, response, seen) =>
    (request.headers.authorization ? answer(404) : refusing)(request, response, seen);
  // What was refused a moment ago is not asked for again so soon.
  await pull(gate, 'team/other');

  expect(await health(gate)).toMatchObject({ status: 'up' });
});

it('is degraded while the upstream cannot be reached', async () => {
  const upstream = await FaultServer.start();
  const gate = await gateBefore(upstream);
  await upstream.close();

  expect(await pull(gate)).toBe(503);

  expect(await health(gate)).toMatchObject({
    status: 'degraded',
    detail: expect.stringMatching(new RegExp(`^${SINCE}.* cannot be reached$`)),
  });
});
