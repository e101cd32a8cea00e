import fc from 'fast-check';
import { Readable } from 'node:stream';
import { downloadRoom, Sink, SOMEWHERE } from '../../../test/support/content-room';
import '../../../test/support/lifecycle';
import { digestOf } from '../../oci/digest';
import { sourceOf } from '../../upstream/body-source';
import { Downloads } from './downloads';
import type { Spool, Spools } from '../store/spool';
import type { Ask } from './upstream-content';

const KIB = 1024;

interface Upstream {
  readonly announced: boolean;
  /** Sizes of the chunks, over and over. */
  readonly chunks: readonly number[];
  /** How many bytes each answer gives before it breaks; the answers after them do not. */
  readonly breaks: readonly number[];
  readonly ranges: boolean;
}

function asking(bytes: Buffer, { announced, chunks, breaks, ranges }: Upstream): Ask {
  let asked = 0;
  return (from, to = bytes.length) => {
    const ranged = ranges && (from > 0 || to < bytes.length);
    const start = ranged ? from : 0;
    const end = ranged ? to : bytes.length;
    const breakAt = start + (breaks[asked] ?? Infinity);
    asked += 1;
    function* parts() {
      for (let at = start, n = 0; at < end; n += 1) {
        if (at >= breakAt) throw new Error('reset');
        const next = Math.min(end, at + (chunks[n % chunks.length] ?? KIB));
        yield bytes.subarray(at, next);
        at = next;
      }
    }
    const length = announced || asked > 1 ? { 'content-length': String(end - start) } : undefined;
    const headers: Record<string, string> = { ...length };
    if (ranged) headers['content-range'] = `bytes ${start}-${end - 1}/${bytes.length}`;
    const body = sourceOf(Readable.from(parts(), { objectMode: false }));
    return Promise.resolve({ status: ranged ? 206 : 200, headers, body });
  };
}

/** Full after so many bytes. */
function limited(spools: Spools, room: number): Spools {
  return {
    async create(): Promise<Spool> {
      const spool = await spools.create();
      const append = spool.append.bind(spool);
      spool.append = (chunks) => {
        const size = chunks.reduce((sum, { length }) => sum + length, spool.size);
        if (size <= room) return append(chunks);
        return Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }));
      };
      return spool;
    },
  };
}

describe('Downloads', () => {
  it('give every reader the right bytes, however they come, and wherever the disk ends', async () => {
    const size = 900 * KIB;
    const { tools, buffers } = await downloadRoom();
    const chunk = fc.integer({ min: 1, max: 200 * KIB });
    const plan = fc.record({
      size: fc.integer({ min: 0, max: size }),
      upstream: fc.record({
        announced: fc.boolean(),
        ranges: fc.boolean(),
        chunks: fc.array(chunk, { minLength: 1, maxLength: 4 }).filter((c) => Math.max(...c) > KIB),
        breaks: fc.array(fc.integer({ min: 1, max: size }), { maxLength: 2 }),
      }),
      room: fc.oneof(fc.constant(Infinity), fc.integer({ min: 0, max: size })),
      readers: fc.array(
        fc.record({ from: fc.nat(size), length: fc.option(fc.nat(size)), slow: fc.boolean() }),
        { minLength: 1, maxLength: 5 },
      ),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(plan, async ({ size, upstream, room, readers }) => {
        run += 1;
        const bytes = Buffer.alloc(size, `content ${run} `);
        const digest = digestOf(bytes);
        const downloads = new Downloads({ ...tools, spools: limited(tools.spools, room) });
        const download = downloads.start(SOMEWHERE, digest, asking(bytes, upstream), () =>
          Promise.resolve(true),
        );

        const got = await Promise.all(
          readers.map(async ({ from, length, slow }) => {
            const sink = new Sink(slow);
            const sending = download
              .body(from, length === null ? undefined : from + length)
              .sendTo(sink);
            if (slow) setTimeout(() => sink.take(), 5);
            await sending;
            return sink.bytes;
          }),
        );

        for (const [index, { from, length }] of readers.entries()) {
          const to = length === null ? undefined : from + length;
          expect(got[index]?.equals(bytes.subarray(from, to))).toBe(true);
        }
        await download.finished.catch(() => undefined);
        expect(buffers.out).toBe(0);
      }),
      { numRuns: 80 },
    );
  });
});
