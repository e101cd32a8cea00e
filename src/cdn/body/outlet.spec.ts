import { once } from 'node:events';
import { Writable } from 'node:stream';
import { Sink } from '../../../test/support/content-room';
import { ClientGone, Outlet } from './outlet';
import { ReadBuffers } from './read-buffers';

/** Fails to take anything, and stays where it is. */
class Broken extends Writable {
  constructor() {
    super({ autoDestroy: false });
  }

  override _write(_chunk: Buffer, _encoding: BufferEncoding, callback: (error: Error) => void) {
    callback(new Error('EPIPE'));
  }
}

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

  it('still hears the error of a sink that failed: unheard, it would end the process', async () => {
    const sink = new Broken();
    const outlet = new Outlet(sink);

    await expect(outlet.write(Buffer.from('x'))).rejects.toBeInstanceOf(ClientGone);
    outlet.release();

    expect([sink.listenerCount('close'), sink.listenerCount('error')]).toEqual([0, 1]);
  });

  it('ends what is waited for when the sink fails, though it does not close', async () => {
    const sink = new Broken();
    const waiting = new Outlet(sink).wait(() => undefined);

    sink.emit('error', new Error('reset by peer'));

    await expect(waiting).rejects.toBeInstanceOf(ClientGone);
  });

  it('knows at once of a client who is gone, and of one who was told that this was all', async () => {
    const gone = new Sink();
    gone.destroy();
    await once(gone, 'close');
    const told = new Sink(true);
    told.write('content');
    told.end();

    expect(new Outlet(gone).failure).toBeInstanceOf(ClientGone);
    expect(new Outlet(told).failure).toBeInstanceOf(ClientGone);
  });

  it('waits until it is told, and no longer', async () => {
    const outlet = new Outlet(new Sink());
    let tell = () => undefined as void;
    const waiting = outlet.wait((done) => (tell = done));

    tell();

    await expect(waiting).resolves.toBeUndefined();
  });

  it('fails for the first reason', async () => {
    const outlet = new Outlet(new Sink());
    outlet.break(new Error('enough'));

    outlet.break(new Error('more than enough'));

    await expect(outlet.write(Buffer.from('x'))).rejects.toThrow('enough');
    expect([outlet.failure?.message, (outlet.signal.reason as Error).message]).toEqual([
      'enough',
      'enough',
    ]);
  });
});
