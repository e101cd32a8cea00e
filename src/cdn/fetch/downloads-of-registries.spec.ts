/** One digest from two registries at once: each has a fetch of its own, until the bytes are known to be right. */
import { contentOf, Gated, serving } from '../../../test/support/content-room';
import { contentStand, type Asked } from '../../../test/support/content-stand';
import { FaultServer, type Behaviour } from '../../../test/support/fault-server';
import { atTheEnd, eventually } from '../../../test/support/lifecycle';
import { registryAt } from '../../../test/support/upstream-fixture';

const MIB = 1024 * 1024;

async function registry(name: string, get: Behaviour): Promise<Asked & { server: FaultServer }> {
  const handler: Behaviour = (request, response, seen) => {
    if (request.method === 'HEAD') return void response.writeHead(200).end();
    return get(request, response, seen);
  };
  const server = await FaultServer.start({ handler });
  atTheEnd(() => server.close());
  return { registry: registryAt(server.url, { name }), server };
}

it('a registry that lies about a digest is not read by those of another', async () => {
  const { bytes, digest } = contentOf(4 * MIB);
  const lies = Buffer.alloc(bytes.length, 'lie');
  const gated = new Gated(lies);
  const hostile = await registry('hostile', gated.serve);
  const honest = await registry('honest', serving(bytes));
  const { blob, cache, isHeld, untilHeld } = await contentStand();
  const lied = blob(hostile, digest);
  await gated.sendTo(3 * MIB);
  await eventually('the lie is on its way', () => cache?.downloads.all[0]?.received === 3 * MIB);

  // A part that ends before the last byte is served unverified: it must be the honest registry's.
  const part = await blob(honest, digest, `bytes=0-${MIB - 1}`);
  const whole = await blob(honest, digest);
  await gated.sendTo(lies.length);

  expect((part as Buffer).equals(bytes.subarray(0, MIB))).toBe(true);
  expect((whole as Buffer).equals(bytes)).toBe(true);
  expect(await lied).toBe('broken');
  await untilHeld(digest);
  // What was verified stands, whoever lied about it in the meantime.
  expect([cache?.downloads.mismatches, await isHeld(digest)]).toEqual([1, true]);
  expect(((await blob(honest, digest)) as Buffer).equals(bytes)).toBe(true);
  expect(honest.server.requests.filter(({ method }) => method === 'GET')).toHaveLength(2);
});

it('the same name at another address is another registry', async () => {
  const { bytes, digest } = contentOf(2 * MIB);
  const gated = new Gated(Buffer.alloc(bytes.length));
  const before = await registry('reg.example', gated.serve);
  const after = await registry('reg.example', serving(bytes));
  const { blob, cache } = await contentStand();
  const lied = blob(before, digest);
  await gated.sendTo(MIB);
  await eventually('it is on its way', () => cache?.downloads.all.length === 1);

  expect(((await blob(after, digest)) as Buffer).equals(bytes)).toBe(true);

  await gated.sendTo(bytes.length);
  expect(await lied).toBe('broken');
});

it('is fetched from both at once, held once, and no room stays promised for the second', async () => {
  const { bytes, digest } = contentOf(2 * MIB);
  const [ofA, ofB] = [new Gated(bytes), new Gated(bytes)];
  const [a, b] = [await registry('a', ofA.serve), await registry('b', ofB.serve)];
  // Room for the two that are under way; after them, for one more beside the one that is held.
  const { blob, cache, untilHeld } = await contentStand({ maxSize: 4 * MIB });
  const got = [blob(a, digest), blob(b, digest)];
  await Promise.all([ofA.sendTo(MIB), ofB.sendTo(MIB)]);
  await eventually('both are under way', () => cache?.downloads.all.length === 2);
  expect(cache?.downloads.all.map((each) => [each.registry, each.digest])).toEqual([
    ['a', digest],
    ['b', digest],
  ]);

  await Promise.all([ofA.sendTo(bytes.length), ofB.sendTo(bytes.length)]);
  const all = await Promise.all(got);
  await untilHeld(digest);
  await eventually('both are over', () => cache?.downloads.all.length === 0);

  expect(all.map((each) => (each as Buffer).equals(bytes))).toEqual([true, true]);
  expect(await cache?.index.totals()).toEqual({ contents: 1, bytes: bytes.length });
  const links = await Promise.all(
    ['a/team/app', 'b/team/app'].map((name) => cache?.index.links(name as never, digest)),
  );
  expect(links.map((each) => each?.length)).toEqual([1, 1]);
  // Without the promise given back, this would have to throw out what is held.
  expect(await cache?.capacity.makeRoom(2 * MIB)).toBe(true);
  expect(cache?.capacity.evicted).toBe(0);
});
