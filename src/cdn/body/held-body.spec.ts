import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentOf, Delivery, Sink } from '../../../test/support/content-room';
import { atTheEnd, eventually, freshFolder } from '../../../test/support/lifecycle';
import type { Digest } from '../../oci/digest';
import { DiskStore } from '../store/disk-store';
import type { StoredContent } from '../store/content-store';
import { heldBody } from './held-body';
import { ClientGone } from './outlet';
import { ReadBuffers } from './read-buffers';

const SIZE = 3 * 1024 * 1024 + 17;

async function storeWith(bytes: Buffer, digest: Digest) {
  const folder = freshFolder('held');
  const store = await DiskStore.open(folder);
  atTheEnd(() => store.close());
  const spool = await store.create();
  await spool.append([bytes]);
  await store.put(digest, spool);
  spool.release();
  const [algorithm = '', hex = ''] = digest.split(':');
  return { store, file: join(folder, 'blobs', algorithm, hex.slice(0, 2), hex) };
}

/** Counts how often it is closed. */
function watched(stored: StoredContent) {
  const seen = { closed: 0 };
  const close = stored.close.bind(stored);
  stored.close = () => {
    seen.closed += 1;
    return close();
  };
  return seen;
}

async function held(from?: number, to?: number) {
  const content = contentOf(SIZE);
  const { store, file } = await storeWith(content.bytes, content.digest);
  const stored = await store.open(content.digest, from, to);
  if (!stored) throw new Error('not held');
  return { ...content, stored, file, seen: watched(stored), buffers: new ReadBuffers() };
}

describe('heldBody', () => {
  it('sends what is held over a connection', async () => {
    const { bytes, stored, seen, buffers } = await held();
    const delivery = await Delivery.start();

    const got = await delivery.get(heldBody(stored, SIZE, buffers));

    expect(got.whole && got.bytes.equals(bytes)).toBe(true);
    expect(seen.closed).toBe(1);
    expect(buffers.lent).toBe(0);
  });

  it('sends a part', async () => {
    const { bytes, stored, buffers } = await held(1000, 2_000_000);
    const sink = new Sink();

    await heldBody(stored, 1_999_000, buffers).sendTo(sink);

    expect(sink.bytes.equals(bytes.subarray(1000, 2_000_000))).toBe(true);
  });

  it('sends what hashes to its digest, and says so', async () => {
    const { bytes, digest, stored, buffers } = await held();
    const sink = new Sink();
    const verdicts: boolean[] = [];

    await heldBody(stored, SIZE, buffers, {
      digest,
      onVerdict: (ok) => verdicts.push(ok),
    }).sendTo(sink);

    expect(verdicts).toEqual([true]);
    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it('never completes what does not, and says so (F6)', async () => {
    const { bytes, digest, stored, file, seen, buffers } = await held();
    const wrong = Buffer.from(bytes);
    wrong[5] = (wrong[5] ?? 0) ^ 1;
    writeFileSync(file, wrong);
    const sink = new Sink();
    const verdicts: boolean[] = [];

    const sending = heldBody(stored, SIZE, buffers, {
      digest,
      onVerdict: (ok) => verdicts.push(ok),
    }).sendTo(sink);

    await expect(sending).rejects.toThrow('damaged');
    expect(verdicts).toEqual([false]);
    expect(sink.received).toBeLessThan(SIZE);
    expect(seen.closed).toBe(1);
    expect(buffers.lent).toBe(0);
  });

  it('breaks where the file is shorter than it was', async () => {
    const { digest, stored, file, buffers } = await held();
    truncateSync(file, 1_000_000);
    const verdicts: boolean[] = [];
    const check = { digest, onVerdict: (ok: boolean) => verdicts.push(ok) };

    const sending = heldBody(stored, SIZE, buffers, check).sendTo(new Sink());

    await expect(sending).rejects.toThrow('damaged');
    expect(verdicts).toEqual([false]);
    expect(buffers.lent).toBe(0);
  });

  it('breaks where the file is shorter than it was, verified or not', async () => {
    const { stored, file, buffers } = await held();
    truncateSync(file, 1_000_000);

    await expect(heldBody(stored, SIZE, buffers).sendTo(new Sink())).rejects.toThrow('damaged');
  });

  it('ends at once when it is given up while it is sent', async () => {
    const { stored, seen, buffers } = await held();
    const sink = new Sink(true);
    const body = heldBody(stored, SIZE, buffers);
    const sending = body.sendTo(sink);
    await eventually('a buffer is out', () => buffers.lent === 1);

    body.close();

    await expect(sending).rejects.toBeInstanceOf(ClientGone);
    expect(seen.closed).toBe(1);
  });

  it('leaves the sink alone when all was said', async () => {
    const { stored, buffers } = await held();
    const sink = new Sink();
    const before = sink.listenerCount('close');

    await heldBody(stored, SIZE, buffers).sendTo(sink);

    expect(sink.listenerCount('close')).toBe(before);
  });

  it('sends nothing of an empty content, verified', async () => {
    const { bytes, digest } = contentOf(0);
    const { store } = await storeWith(bytes, digest);
    const verdicts: boolean[] = [];
    const sink = new Sink();
    const stored = await store.open(digest);

    await heldBody(stored!, 0, new ReadBuffers(), {
      digest,
      onVerdict: (ok) => verdicts.push(ok),
    }).sendTo(sink);

    expect(verdicts).toEqual([true]);
    expect(sink.received).toBe(0);
  });

  it('ends at once when its client leaves while it holds back, and keeps no buffer', async () => {
    const { digest, stored, seen, buffers } = await held();
    const sink = new Sink(true);
    const verdicts: boolean[] = [];
    const check = { digest, onVerdict: (ok: boolean) => verdicts.push(ok) };
    const sending = heldBody(stored, SIZE, buffers, check).sendTo(sink);
    await eventually('a buffer is out', () => buffers.lent === 1);

    sink.destroy();

    await expect(sending).rejects.toBeInstanceOf(ClientGone);
    expect(buffers.lent).toBe(0);
    expect(seen.closed).toBe(1);
    expect(verdicts).toEqual([]);
  });

  it.each([
    ['is gone', (sink: Sink) => sink.destroy()],
    ['was ended', (sink: Sink) => sink.end()],
  ])('ends at once when its client %s already', async (_what, leave) => {
    const { stored, seen, buffers } = await held();
    const sink = new Sink();
    leave(sink);

    await expect(heldBody(stored, SIZE, buffers).sendTo(sink)).rejects.toBeInstanceOf(ClientGone);
    expect(seen.closed).toBe(1);
  });

  it('has been sent when its last byte was taken, however long closing takes', async () => {
    const { bytes, stored, buffers } = await held();
    const close = stored.close.bind(stored);
    stored.close = async () => {
      await close();
      return new Promise<never>(() => undefined);
    };
    const sink = new Sink();

    await heldBody(stored, SIZE, buffers).sendTo(sink);

    expect(sink.bytes.equals(bytes)).toBe(true);
  });

  it('closes what is held when it is given up unsent', async () => {
    const { stored, seen, buffers } = await held();
    const body = heldBody(stored, SIZE, buffers);

    body.close();
    body.close();

    expect(seen.closed).toBe(1);
    await expect(body.sendTo(new Sink())).rejects.toBeInstanceOf(ClientGone);
  });

  it('hears of a sink that fails with an error of its own', async () => {
    const { stored, buffers } = await held();
    const sink = new Sink(true);
    const sending = heldBody(stored, SIZE, buffers).sendTo(sink);

    sink.destroy(new Error('reset by peer'));

    await expect(sending).rejects.toBeInstanceOf(ClientGone);
  });
});
