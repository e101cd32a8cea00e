import { createCipheriv, createHash } from 'node:crypto';
import { request } from 'node:http';
import { once } from 'node:events';
import type { Gate } from '../support/gate';
import { bearer } from '../support/http';
import { MIB } from '../support/images';
import { openUpload, startStand, visit, withQuery } from '../support/stand';
import { describeWith } from '../support/tools';

const CHUNK = MIB;
const CHUNKS = 1024;
const ALLOWED = 150 * MIB;

/** The same gigabyte of noise each time, a chunk at a time: a key stream. */
function* noise(): Generator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16));
  const zeros = Buffer.alloc(CHUNK);
  for (let n = 0; n < CHUNKS; n += 1) yield cipher.update(zeros);
}

async function put(gate: Gate, token: string, address: string): Promise<number | undefined> {
  const url = new URL(address, gate.url);
  const headers = { ...bearer(token), 'content-length': CHUNK * CHUNKS };
  const outgoing = request(url, { method: 'PUT', agent: false, headers });
  const answered = once(outgoing, 'response');
  for (const chunk of noise()) {
    if (!outgoing.write(chunk)) await Promise.race([once(outgoing, 'drain'), answered]);
  }
  outgoing.end();
  const [incoming] = (await answered) as [{ statusCode?: number; resume(): void }];
  incoming.resume();
  return incoming.statusCode;
}

async function get(gate: Gate, token: string, path: string): Promise<string> {
  const outgoing = request(`${gate.url}${path}`, { agent: false, headers: bearer(token) }).end();
  const [incoming] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer>];
  const hash = createHash('sha256');
  for await (const chunk of incoming) hash.update(chunk);
  return `sha256:${hash.digest('hex')}`;
}

describeWith(['docker-registry', 'openssl'], 'a blob of 1 GiB', () => {
  it('is pushed and pulled unchanged while the gate stays within 150 MiB of its idle memory', async () => {
    const { gate } = await startStand('token');
    const account = await gate.addAccount();
    const who = await visit(gate, account, 'team/large', 'pull,push');
    const hash = createHash('sha256');
    for (const chunk of noise()) hash.update(chunk);
    const digest = `sha256:${hash.digest('hex')}`;
    const idle = gate.memory().now;
    gate.forgetPeak();

    const address = await openUpload(who, 'team/large');
    const status = await put(gate, who.token, withQuery(address, `digest=${digest}`));
    const pulled = await get(gate, who.token, `/v2/team/large/blobs/${digest}`);

    expect(status).toBe(201);
    expect(pulled).toBe(digest);
    expect(gate.memory().peak - idle).toBeLessThan(ALLOWED);
  });
});
