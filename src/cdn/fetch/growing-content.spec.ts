/** When those who follow a fetch are told that there is more, and how much of it they may have. */
import { Sink } from '../../../test/support/content-room';
import '../../../test/support/lifecycle';
import { digestOf } from '../../oci/digest';
import { Outlet } from '../body/outlet';
import { GrowingContent, type Rest } from './growing-content';
import { SpooledBytes } from './spooled-bytes';
import type { UpstreamContent } from './upstream-content';

const KIB = 1024;

/** Content with so many readers who wait for a change; how many of them were told. */
function followed(readers: number) {
  const room = {
    create: () => Promise.reject(new Error('there is no disk')),
    reserve: () => Promise.resolve(),
  };
  const content = new GrowingContent(digestOf(Buffer.from('a')), new SpooledBytes(room, () => 1));
  let told = 0;
  const wait = () => {
    for (let n = 0; n < readers; n += 1)
      void content.change(new Outlet(new Sink())).then(() => (told += 1));
  };
  /** Those who were told without any time's passing. */
  const toldAtOnce = async () => {
    for (let n = 0; n < 5; n += 1) await Promise.resolve();
    return told;
  };
  return { content, wait, toldAtOnce };
}

/** Time passes when it is told to. */
function ownTime() {
  const due: [() => void, number | undefined][] = [];
  jest.spyOn(globalThis, 'setTimeout').mockImplementation(((ring: () => void, time?: number) => {
    due.push([ring, time]);
    return due.length;
  }) as never);
  jest.spyOn(globalThis, 'clearTimeout').mockImplementation(((timer?: number) => {
    if (timer !== undefined && due[timer - 1]) due[timer - 1] = [() => undefined, undefined];
  }) as never);
  const pass = () => {
    for (const [ring] of due.splice(0)) ring();
  };
  return { due, pass };
}

afterEach(() => jest.restoreAllMocks());

describe('of more content', () => {
  it('many are told at once of the first of it', async () => {
    const { content, wait, toldAtOnce } = followed(50);
    wait();

    content.add(Buffer.alloc(1));

    expect(await toldAtOnce()).toBe(50);
  });

  it('a few are told at once', async () => {
    const { due } = ownTime();
    const { content, wait, toldAtOnce } = followed(4);
    content.add(Buffer.alloc(1));
    wait();

    content.add(Buffer.alloc(1));

    expect(await toldAtOnce()).toBe(4);
    expect(due).toEqual([]);
  });

  it('more are told after a moment, of all that came in it', async () => {
    const { due, pass } = ownTime();
    const { content, wait, toldAtOnce } = followed(5);
    content.add(Buffer.alloc(1));
    wait();

    content.add(Buffer.alloc(1));
    content.add(Buffer.alloc(256 * KIB - 2));
    const before = await toldAtOnce();
    expect(due).toEqual([[expect.any(Function), 5]]);
    pass();

    expect([before, await toldAtOnce()]).toEqual([0, 5]);
    wait();
    content.add(Buffer.alloc(1));
    expect(due).toHaveLength(1);
  });

  it('all are told at once where it is much, and not again for that', async () => {
    const { due } = ownTime();
    const { content, wait, toldAtOnce } = followed(5);
    content.add(Buffer.alloc(1));
    wait();
    content.add(Buffer.alloc(1));

    content.add(Buffer.alloc(256 * KIB - 1));

    expect(await toldAtOnce()).toBe(5);
    expect(due).toEqual([[expect.any(Function), undefined]]);
    wait();
    content.add(Buffer.alloc(1));
    expect(await toldAtOnce()).toBe(5);
  });
});

const REST = { at: 0 } as Rest;

describe('of its end', () => {
  it.each<[string, (content: GrowingContent, spare: UpstreamContent) => void]>([
    ['that it is whole', (content) => content.complete()],
    ['that it broke', (content) => content.break(new Error('broken'))],
    ['that each goes on alone', (content, spare) => content.splitOff(REST, spare)],
  ])('all are told at once: %s', async (_what, end) => {
    const { content, wait, toldAtOnce } = followed(50);
    const close = jest.fn();
    wait();
    expect(content.over).toBe(false);

    end(content, { close } as never);

    expect(await toldAtOnce()).toBe(50);
    expect(content.over).toBe(true);
    expect(close).not.toHaveBeenCalled();
  });

  it('what broke it first counts', () => {
    const { content } = followed(0);
    const first = new Error('first');

    content.break(first);
    content.break(new Error('second'));

    expect(content.failure).toBe(first);
  });

  it('what nobody took over is ended, once', () => {
    const { content } = followed(0);
    const close = jest.fn();
    content.splitOff(REST, { close } as never);

    content.dropSpare();
    content.dropSpare();

    expect(close).toHaveBeenCalledTimes(1);
    expect(content.rest).toBe(REST);
  });
});

it('the last byte, or what may be it, is to be had only once all is known to be right', () => {
  const [announced, not] = [followed(0).content, followed(0).content];
  announced.total = 3;
  const visible = () => [announced.visible, not.visible];

  const seen = [visible()];
  for (let n = 0; n < 3; n += 1) {
    for (const content of [announced, not]) content.add(Buffer.alloc(1));
    seen.push(visible());
  }
  for (const content of [announced, not]) content.complete();

  expect(seen).toEqual([
    [0, 0],
    [1, 0],
    [2, 1],
    [2, 2],
  ]);
  expect(visible()).toEqual([3, 3]);
});

it('a reader who leaves is told of nothing any more', async () => {
  const { content } = followed(0);
  const outlet = new Outlet(new Sink());
  const waiting = content.change(outlet);
  const left = new Error('left');

  outlet.break(left);

  await expect(waiting).rejects.toBe(left);
  expect(() => content.complete()).not.toThrow();
});
