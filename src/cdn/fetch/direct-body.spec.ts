import {
  asking,
  contentOf,
  faultServer,
  Gated,
  serving,
  Sink,
} from '../../../test/support/content-room';
import {
  answer,
  corrupt,
  resetAfter,
  stallAfter,
  type Behaviour,
} from '../../../test/support/fault-server';
import { eventually } from '../../../test/support/lifecycle';
import { hasherFor } from '../../oci/digest';
import { DigestMismatch } from './digest-mismatch';
import { directBody, passOn, type Passage } from './direct-body';
import { ClientGone, Outlet } from '../body/outlet';
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

    await expect(sending).rejects.toMatchObject({
      name: 'DigestMismatch',
      message: `the upstream registry sent content that is not ${digest}`,
    });
    await expect(sending).rejects.toBeInstanceOf(DigestMismatch);
    expect(sink.received).toBe(Number(content.position) - 1);
  });

  it('tells of wrong content that it was wrong, and of no other end', async () => {
    const { content: wrong } = await opened(corrupt(bytes));
    const { content: silent } = await opened(stallAfter(bytes, 1000));
    const told = [wrong, silent].map((content) => jest.spyOn(content, 'distrust'));
    const sink = new Sink();

    await directBody(wrong, bytes.length, digest)
      .sendTo(new Sink())
      .catch(() => undefined);
    const left = directBody(silent, bytes.length, digest).sendTo(sink);
    await eventually('the first bytes', () => sink.received === 1000);
    sink.destroy();
    await left.catch(() => undefined);

    expect(told.map((each) => each.mock.calls.length)).toEqual([1, 0]);
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

describe('passOn', () => {
  const hashOf = (end: number) => hasherFor(digest).update(bytes.subarray(0, end));

  async function sent(behaviour: Behaviour, part: { from: number; to?: number }, passage: Passage) {
    const { server, content } = await opened(behaviour, part);
    const sink = new Sink();
    const outcome = await passOn(new Outlet(sink), content, passage).catch(
      (error: unknown) => error,
    );
    return { server, outcome, sent: sink.bytes };
  }

  it('sends what was withheld, then what the client lacks, and proves with it what came before', async () => {
    const passage = {
      from: 120_000,
      withheld: bytes.subarray(119_990, 120_000),
      check: { digest, hash: hashOf(150_000), at: 150_000 },
    };

    const got = await sent(serving(bytes), { from: 100_000 }, passage);

    expect(got.outcome).toBeUndefined();
    expect(got.sent.equals(bytes.subarray(119_990))).toBe(true);
  });

  it('keeps back the last byte of what does not hash to its digest, counted from its very beginning', async () => {
    const check = { digest, hash: hashOf(99_999), at: 100_000 };

    const got = await sent(serving(bytes), { from: 100_000 }, { from: 100_000, check });

    expect(got.outcome).toBeInstanceOf(DigestMismatch);
    expect(got.sent.equals(bytes.subarray(100_000, -1))).toBe(true);
  });

  it('does not wait for the proof of a part that others follow', async () => {
    const check = { digest, hash: hashOf(0), at: 0 };

    const got = await sent(
      stallAfter(bytes, 250_000),
      { from: 0 },
      { from: 0, to: 200_000, check },
    );

    expect(got.outcome).toBeUndefined();
    expect(got.sent.equals(bytes.subarray(0, 200_000))).toBe(true);
    await eventually('the connection ends', () => got.server.open === 0);
  });

  it('waits for nothing behind the part where nothing is to be proved', async () => {
    const got = await sent(stallAfter(bytes, 200_000), { from: 0 }, { from: 0, to: 200_000 });

    expect(got.outcome).toBeUndefined();
    expect(got.sent.equals(bytes.subarray(0, 200_000))).toBe(true);
    await eventually('the connection ends', () => got.server.open === 0);
  });

  it('takes a byte behind the part for the proof that the part is not all', async () => {
    const gated = new Gated(bytes, false);
    const { content } = await opened(gated.serve);
    const sink = new Sink();
    const check = { digest, hash: hashOf(0), at: 0 };

    const sending = passOn(new Outlet(sink), content, { from: 0, to: 200_000, check });
    await gated.sendTo(200_000);
    await eventually('all but the last byte', () => sink.received === 199_999);
    await gated.sendTo(bytes.length);
    await sending;

    expect(sink.bytes.equals(bytes.subarray(0, 200_000))).toBe(true);
  });

  it('leaves the connection to the next request where the content ends with the part', async () => {
    const server = await faultServer(serving(bytes));
    const ask = asking(server);
    const { signal } = new AbortController();

    for (let n = 0; n < 6; n += 1) {
      const content = await UpstreamContent.open(ask, { from: 0, to: 1000 }, signal);
      await passOn(new Outlet(new Sink()), content, { from: 0, to: 1000 });
    }

    // A connection is free again only a moment after its answer has ended.
    expect(server.accepted).toBeLessThan(3);
  });

  it('ends the upstream at once for a client who is gone before the first byte', async () => {
    const gone = new Sink();
    gone.destroy();
    const { server, content } = await opened(new Gated(bytes).serve);

    const sending = passOn(new Outlet(gone), content, { from: 0 });

    await expect(sending).rejects.toBeInstanceOf(ClientGone);
    await eventually('the connection ends', () => server.open === 0);
  });

  it('says that the client left, and not that the content was closed', async () => {
    const { content } = await opened(stallAfter(bytes, 1000));
    const sink = new Sink();
    const outlet = new Outlet(sink);
    const left = new Error('left');

    const sending = passOn(outlet, content, { from: 0 });
    await eventually('the first bytes', () => sink.received === 1000);
    outlet.break(left);

    await expect(sending).rejects.toBe(left);
  });

  it('looks for a byte behind a part that may be the last one, where nobody knows the end', async () => {
    const check = { digest, hash: hashOf(0), at: 0 };
    const passage = { from: 0, to: bytes.length, check };

    const right = await sent(unannounced(bytes), { from: 0 }, passage);
    const wrong = await sent(
      unannounced(Buffer.from(bytes).fill(1, 7, 9)),
      { from: 0 },
      { ...passage, check: { ...check, hash: hashOf(0) } },
    );

    expect(right).toMatchObject({ outcome: undefined, sent: bytes });
    expect(wrong.outcome).toBeInstanceOf(DigestMismatch);
    expect(wrong.sent.length).toBe(bytes.length - 1);
  });
});
