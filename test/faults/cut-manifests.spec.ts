import { connect } from 'node:net';
import type { Gate } from '../support/gate';
import { errorCode } from '../support/http';
import { imageOf, layersWith, type Image } from '../support/images';
import { eventually } from '../support/lifecycle';
import type { Registry } from '../support/registry';
import { seed, startStand, visit, type Visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const REPOSITORY = 'team/app';

describeWith(['docker-registry'], 'F15: a manifest whose client leaves in the middle', () => {
  const [old, next] = [imageOf(layersWith(1000)), imageOf(layersWith(1000))];
  let gate: Gate;
  let registry: Registry;
  let who: Visitor;

  beforeAll(async () => {
    ({ gate, registry } = await startStand());
    await seed(registry, REPOSITORY, 'old', old);
    await seed(registry, REPOSITORY, 'next', next);
    who = await visit(gate, await gate.addAccount(), REPOSITORY, 'pull,push');
  });

  /** Sends all but the end of a manifest, in one of two framings, and goes once the gate has begun to read. */
  async function cutOff(tag: string, image: Image, framing: 'length' | 'chunks'): Promise<void> {
    const half = image.manifest.subarray(0, image.manifest.length - 10);
    const head = [
      `PUT /v2/${REPOSITORY}/manifests/${tag} HTTP/1.1`,
      `Host: ${gate.host}`,
      `Authorization: Bearer ${who.token}`,
      `Content-Type: ${image.mediaType}`,
      'Expect: 100-continue',
      framing === 'length'
        ? `Content-Length: ${image.manifest.length}`
        : 'Transfer-Encoding: chunked',
    ];
    const socket = connect(gate.port, '127.0.0.1');
    let heard = '';
    socket.on('error', () => undefined);
    socket.setEncoding('latin1').on('data', (text: string) => (heard += text));
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    await eventually('the gate asks for the body', () => heard.includes('100 Continue'));
    if (framing === 'chunks') socket.write(`${half.length.toString(16)}\r\n`);
    await new Promise((resolve) => socket.write(half, resolve));
    // In good order, as a client that crashes leaves it: the gate reads to the end, and it is not there.
    await new Promise((resolve) => socket.once('close', resolve).end());
  }

  it.each(['length', 'chunks'] as const)(
    'told by %s leaves neither a new tag nor a moved one, and does not reach the upstream',
    async (framing) => {
      const before = (await registry.requests()).length;

      await cutOff('half', next, framing);
      await cutOff('old', next, framing);

      const unfinished = (await registry.requests()).slice(before);
      expect(unfinished.filter(({ method }) => method === 'PUT')).toEqual([]);
      const half = await who.ask(`/v2/${REPOSITORY}/manifests/half`);
      const kept = await who.ask(`/v2/${REPOSITORY}/manifests/old`);
      const tags = await who.ask(`/v2/${REPOSITORY}/tags/list`);
      expect([half.status, errorCode(half)]).toEqual([404, 'MANIFEST_UNKNOWN']);
      expect(kept.headers['docker-content-digest']).toBe(old.digest);
      expect(tags.json<{ tags: string[] }>().tags.sort()).toEqual(['next', 'old']);
    },
  );
});
