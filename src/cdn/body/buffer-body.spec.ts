/** What is in memory, on its way out. */
import { once } from 'node:events';
import http, { type RequestListener, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { selfSigned } from '../../../test/support/certificates';
import { contentOf, Sink } from '../../../test/support/content-room';
import { atTheEnd } from '../../../test/support/lifecycle';
import { bufferBody } from './buffer-body';
import { ClientGone } from './outlet';

const KIB = 1024;
const MIB = 1024 * KIB;

/** What a client gets of these bytes, and in how large pieces they were written. */
async function delivered(bytes: Buffer, { encrypted }: { encrypted: boolean }) {
  const sent = Promise.withResolvers<number[]>();
  const send = async (response: ServerResponse) => {
    response.writeHead(200, { 'content-length': bytes.length });
    const write = jest.spyOn(response, 'write');
    await bufferBody(bytes).sendTo(response);
    response.end();
    sent.resolve(write.mock.calls.map(([piece]) => (piece as Buffer).length));
  };
  const listener: RequestListener = (_request, response) => void send(response);
  const server = encrypted
    ? https.createServer(selfSigned([], ['127.0.0.1']), listener)
    : http.createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atTheEnd(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = `${encrypted ? 'https' : 'http'}://127.0.0.1:${port}`;
  const options = { agent: false, rejectUnauthorized: false };
  const asked = (encrypted ? https : http).get(url, options);
  const [answer] = (await once(asked, 'response')) as [http.IncomingMessage];
  const got = Buffer.concat((await answer.toArray()) as Buffer[]);
  return { got, pieces: await sent.promise };
}

describe('bufferBody', () => {
  it('sends what is in memory', async () => {
    const sink = new Sink();

    await bufferBody(Buffer.from('content')).sendTo(sink);
    await bufferBody(Buffer.alloc(0)).sendTo(sink);

    expect(sink.bytes.toString()).toBe('content');
    expect(sink.listenerCount('close')).toBe(new Sink().listenerCount('close'));
  });

  it.each([
    ['in pieces of 4 MiB', false, [4 * MIB, 1000]],
    [
      'over TLS in small ones: each is encrypted as a whole, however slow its client is',
      true,
      [...Array<number>(32).fill(128 * KIB), 1000],
    ],
  ])('sends what is large %s', async (_how, encrypted, expected) => {
    const { bytes } = contentOf(4 * MIB + 1000);

    const { got, pieces } = await delivered(bytes, { encrypted });

    expect(got.equals(bytes)).toBe(true);
    expect(pieces).toEqual(expected);
  });

  it('writes nothing where there is nothing, and yet knows whether its client is there', async () => {
    const sink = new Sink();
    const written = jest.spyOn(sink, 'write');
    await bufferBody(Buffer.alloc(0)).sendTo(sink);
    expect(written).not.toHaveBeenCalled();

    sink.destroy();
    await expect(bufferBody(Buffer.alloc(0)).sendTo(sink)).rejects.toThrow(ClientGone);
  });

  it('ends at once when it is given up', async () => {
    const body = bufferBody(Buffer.from('content'));
    const sending = body.sendTo(new Sink(true));

    body.close();

    await expect(sending).rejects.toThrow(ClientGone);
  });

  it('ends at once when its client is gone, or leaves', async () => {
    const gone = new Sink();
    gone.destroy();
    await expect(bufferBody(Buffer.from('content')).sendTo(gone)).rejects.toThrow(ClientGone);

    const slow = new Sink(true);
    const sending = bufferBody(Buffer.from('content')).sendTo(slow);
    slow.destroy();
    await expect(sending).rejects.toThrow(ClientGone);
  });
});
