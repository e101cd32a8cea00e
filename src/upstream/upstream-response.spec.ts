import { Readable } from 'node:stream';
import { usedAgain } from '../../test/support/used-again';
import { sourceOf } from './body-source';
import { readBody } from './upstream-response';

/** A body whose chunks come so many milliseconds apart, on a clock that the test moves. */
function dripping(chunks: readonly Buffer[], apart: number) {
  let now = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => now);
  async function* body() {
    for (const chunk of chunks) {
      now += apart;
      yield await Promise.resolve(chunk);
    }
  }
  return { status: 200, headers: {}, body: usedAgain(sourceOf(Readable.from(body()))) };
}

afterEach(() => jest.restoreAllMocks());

describe('an answer that is read whole', () => {
  it('is refused once it only drips, whatever its idle times', async () => {
    const bytes = Array.from({ length: 40 }, () => Buffer.from('x'));

    await expect(readBody(dripping(bytes, 1_000), 1_000)).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
    });
  });

  it('may take its time while it comes at a pace that somebody may wait for', async () => {
    const parts = Array.from({ length: 40 }, (_, index) => Buffer.alloc(32_000, index));
    const all = Buffer.concat(parts);

    const read = await readBody(dripping(parts, 1_000), 2_000_000);

    expect(read.equals(all)).toBe(true);
  });
});
