import { asking, contentOf, faultServer, serving, Sink } from '../../../test/support/content-room';
import {
  answer,
  corrupt,
  resetAfter,
  stallAfter,
  type Behaviour,
} from '../../../test/support/fault-server';
import { eventually } from '../../../test/support/lifecycle';
import { DigestMismatch } from './digest-mismatch';
import { directBody } from './direct-body';
import { ClientGone } from '../body/outlet';
import { UpstreamContent } from './upstream-content';

const { bytes, digest } = contentOf(300_000);

async function opened(behaviour: Behaviour, part: { from: number; to?: number } = { from: 0 }) {
  const server = await faultServer(serving(bytes));
  server.queue(behaviour);
  const signal = new AbortController().signal;
  const content = await UpstreamContent.open(asking(server), part, signal, [5, 5, 5]);
  return { server, content };
}

const unannounced = (body: Buffer) => answer(200, body, { 'content-length': undefined });

describe('directBody', () => {
  it.each([
    ['', serving(bytes), bytes.length],
    [' without a length', unannounced(bytes), undefined],
    [' that breaks off', resetAfter(bytes, 100_000), bytes.length],
  ])('sends content%s, verified', async (_what, behaviour, length) => {
    const { content } = await opened(behaviour);
    const sink = new Sink();

    await directBody(content, length, digest).sendTo(sink);

    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it.each([
    ['', corrupt(bytes), bytes.length],
    [' without a length', unannounced(Buffer.from(bytes).fill(1, 7, 9)), undefined],
    [' that ends early', unannounced(bytes.subarray(0, -1)), undefined],
  ])('withholds the last byte of wrong content%s (S5)', async (_what, behaviour, length) => {
    const { content } = await opened(behaviour);
    const sink = new Sink();

    const sending = directBody(content, length, digest).sendTo(sink);

    await expect(sending).rejects.toBeInstanceOf(DigestMismatch);
    expect(sink.received).toBe(Number(content.position) - 1);
  });

  it('sends a part, unverified', async () => {
    const { content } = await opened(serving(bytes), { from: 10, to: 200_000 });
    const sink = new Sink();

    await directBody(content, 199_990, undefined).sendTo(sink);

    expect(sink.bytes.equals(bytes.subarray(10, 200_000))).toBe(true);
  });

  it('sends nothing of an empty content, and knows a wrong one', async () => {
    const empty = contentOf(0);
    const { content: right } = await opened(answer(200, ''));
    const { content: wrong } = await opened(answer(200, ''));

    await directBody(right, 0, empty.digest).sendTo(new Sink());
    await expect(directBody(wrong, 0, digest).sendTo(new Sink())).rejects.toThrow(DigestMismatch);
  });

  it('leaves no connection behind when its client leaves while the upstream is silent', async () => {
    const { server, content } = await opened(stallAfter(bytes, 1000));
    const sink = new Sink();
    const sending = directBody(content, bytes.length, digest).sendTo(sink);
    await eventually('the first bytes', () => sink.received === 1000);

    sink.destroy();

    await expect(sending).rejects.toBeInstanceOf(ClientGone);
    await eventually('the connection ends', () => server.open === 0);
  });

  it('leaves no connection behind when it is given up while it is sent', async () => {
    const { server, content } = await opened(stallAfter(bytes, 1000));
    const sink = new Sink();
    const before = sink.listenerCount('close');
    const body = directBody(content, bytes.length, digest);
    const sending = body.sendTo(sink);
    await eventually('the first bytes', () => sink.received === 1000);

    body.close();

    await expect(sending).rejects.toBeInstanceOf(ClientGone);
    await eventually('the connection ends', () => server.open === 0);
    expect(sink.listenerCount('close')).toBe(before);
  });

  it.each(['unsent', 'to a client who is gone'])('leaves no connection behind %s', async (how) => {
    const { server, content } = await opened(stallAfter(bytes, 1000));
    const body = directBody(content, bytes.length, digest);
    const gone = new Sink();
    gone.destroy();

    if (how === 'unsent') body.close();
    else await expect(body.sendTo(gone)).rejects.toBeInstanceOf(ClientGone);

    await eventually('the connection ends', () => server.open === 0);
  });
});
