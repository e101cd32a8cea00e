/** An upstream that sends more than fits: it costs an error, and no memory. */
import { challenge, FaultServer, huge, json } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { errorCode } from '../support/http';
import { MIB } from '../support/images';
import { eventually } from '../support/lifecycle';
import { visit } from '../support/stand';

const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const MANIFEST = '/v2/team/app/manifests/1';

async function gateBefore(upstream: FaultServer) {
  const gate = await startGate({ UPSTREAM_REGISTRY: upstream.url.origin });
  return { gate, who: await visit(gate, await gate.addAccount(), 'team/app', 'pull,push') };
}

describe('S26: more than fits', () => {
  const ALLOWED = 100 * MIB;

  /** Bytes that the gate grew by at its highest. */
  async function growth(gate: Gate, work: () => Promise<void>): Promise<number> {
    const idle = gate.memory().now;
    gate.forgetPeak();
    await work();
    return gate.memory().peak - idle;
  }

  it.each([
    ['announced', { 'content-length': 1024 ** 3 }],
    ['not announced', {}],
  ])('an upstream manifest of 1 GiB, %s, is 502 and costs no memory', async (_, length) => {
    const upstream = await FaultServer.start();
    const { gate, who } = await gateBefore(upstream);
    upstream.handler = huge(1024 ** 3, { 'content-type': MEDIA_TYPE, ...length });

    const grown = await growth(gate, async () => {
      for (let n = 0; n < 5; n += 1) {
        const got = await who.ask(MANIFEST);
        expect([got.status, errorCode(got)]).toEqual([502, 'UNAVAILABLE']);
      }
    });

    expect(grown).toBeLessThan(ALLOWED);
    await eventually('the upstream is left alone', () => upstream.open === 0);
  });

  it('a token answer of 10 MiB is 502 and costs no memory', async () => {
    const upstream = await FaultServer.start({ own: ['Bearer x'] });
    const padded = json({ token: 'x', padding: 'x'.repeat(10 * MIB) });
    const asks = challenge(`Bearer realm="${upstream.url.origin}/token",service="s"`);
    upstream.handler = (request, response, seen) =>
      (request.url?.startsWith('/token') ? padded : asks)(request, response, seen);
    const { gate, who } = await gateBefore(upstream);

    const grown = await growth(gate, async () => {
      for (let n = 0; n < 20; n += 1) {
        const got = await who.ask(MANIFEST);
        expect([got.status, errorCode(got)]).toEqual([502, 'UNAVAILABLE']);
      }
    });

    expect(upstream.requests.some(({ url }) => url.startsWith('/token'))).toBe(true);
    expect(grown).toBeLessThan(ALLOWED);
  });
});
