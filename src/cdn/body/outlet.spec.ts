import { Writable } from 'node:stream';
import { Sink } from '../../../test/support/content-room';
import { ClientGone, Outlet } from './outlet';
import { ReadBuffers } from './read-buffers';

/** Takes bytes and never says so, as an answer does that waits behind another one on its connection. */
class Silent extends Writable {
  override write(): boolean {
    return false;
  }
}

function lent() {
  const buffers = new ReadBuffers();
  return { buffers, buffer: buffers.take() };
}

describe('Outlet', () => {
  it('gives a buffer back when its bytes are taken, and not before', async () => {
    const { buffers, buffer } = lent();
    const sink = new Sink(true);
    const writing = new Outlet(sink).write(buffer.bytes.subarray(0, 5), buffer);
    expect(buffers.lent).toBe(1);

    sink.take();
    await writing;

    expect(buffers.lent).toBe(0);
    expect(buffers.take().bytes).toBe(buffer.bytes);
  });

  it('drops a buffer that somebody may still read from when the client leaves', async () => {
    const { buffers, buffer } = lent();
    const sink = new Silent();
    const writing = new Outlet(sink).write(buffer.bytes, buffer);

    sink.destroy();

    await expect(writing).rejects.toBeInstanceOf(ClientGone);
    expect(buffers.lent).toBe(0);
    expect(buffers.take().bytes).not.toBe(buffer.bytes);
  });

  it('gives back at once what it does not write any more', async () => {
    const { buffers, buffer } = lent();
    const outlet = new Outlet(new Sink());
    outlet.break(new Error('enough'));

    await expect(outlet.write(buffer.bytes, buffer)).rejects.toThrow('enough');
    await expect(outlet.wait(() => undefined)).rejects.toThrow('enough');

    expect(buffers.lent).toBe(0);
    expect(outlet.signal.aborted).toBe(true);
  });

  it('fails with what the sink throws', async () => {
    const sink = new Sink();
    sink.write = () => {
      throw new Error('more than was announced');
    };
    const { buffers, buffer } = lent();

    await expect(new Outlet(sink).write(buffer.bytes, buffer)).rejects.toThrow('announced');

    expect(buffers.lent).toBe(0);
  });

  it('ends what is waited for when the client leaves, and leaves the sink alone afterwards', async () => {
    const sink = new Sink();
    const outlet = new Outlet(sink);
    const waiting = outlet.wait(() => undefined);

    sink.destroy();
    await expect(waiting).rejects.toBeInstanceOf(ClientGone);

    const other = new Sink();
    new Outlet(other).release();
    expect(other.listenerCount('close') + other.listenerCount('error')).toBe(0);
  });
});
