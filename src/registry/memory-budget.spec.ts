import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { MemoryBudget, type MemoryBudgetLimits } from './memory-budget';

/** What the budget needs of an answer: that it closes, and whether all of it was written. */
function answer({ written = false } = {}): ServerResponse {
  const emitter = new EventEmitter();
  const response = Object.assign(emitter, {
    closed: false,
    writableEnded: written,
    destroy() {
      response.closed = true;
      emitter.emit('close');
    },
  });
  return response as unknown as ServerResponse;
}

const room = (limits: Partial<MemoryBudgetLimits> = {}) =>
  new MemoryBudget({ total: 100, share: 100, small: 0, ...limits });

describe('MemoryBudget', () => {
  it('gives room until an answer is closed, and the rest of it back before', async () => {
    const budget = room();
    const first = answer();

    const settle = await budget.for(first, 'ann')(60);
    expect(budget.held).toBe(60);
    settle(20);
    expect(budget.held).toBe(20);
    first.destroy();

    expect(budget.held).toBe(0);
  });

  it('lets others wait, first come first served', async () => {
    const budget = room();
    const [first, second, third] = [answer(), answer(), answer()];
    const order: string[] = [];
    await budget.for(first, 'ann')(100);

    const big = budget
      .for(
        second,
        'bob',
      )(50)
      .then(() => order.push('big'));
    const small = budget
      .for(
        third,
        'bob',
      )(10)
      .then(() => order.push('small'));
    first.destroy();
    await Promise.all([big, small]);

    expect(order).toEqual(['big', 'small']);
    expect(budget.held).toBe(60);
  });

  it('makes nobody wait for a client whose own share is used up', async () => {
    const budget = room({ share: 30, patience: 50 });
    await budget.for(answer(), 'ann')(30);

    const more = budget.for(answer(), 'ann')(30);
    const others = budget.for(answer(), 'bob')(30);

    await expect(more).rejects.toMatchObject({ status: 503 });
    await others;
    expect(budget.held).toBe(60);
  });

  it('lets small ones pass whoever waits', async () => {
    const budget = room({ small: 5, patience: 50 });
    await budget.for(answer(), 'ann')(100);
    const waiting = expect(budget.for(answer(), 'bob')(50)).rejects.toMatchObject({ status: 503 });

    await budget.for(answer(), 'eve')(5);

    expect(budget.held).toBe(105);
    await waiting;
  });

  it('lets small ones of one client pass within twice its share, and no more of them', async () => {
    const budget = room({ small: 5, share: 10, patience: 50 });
    for (let n = 0; n < 4; n += 1) await budget.for(answer(), 'eve')(5);

    await expect(budget.for(answer(), 'eve')(5)).rejects.toMatchObject({ status: 503 });
    await budget.for(answer(), 'ann')(5);

    expect(budget.held).toBe(25);
  });

  it('cuts as many that nobody reads as the one who waits needs, and leaves the others', async () => {
    const budget = room({ small: 1, tenure: 10, patience: 1_000 });
    const stalled = Array.from({ length: 150 }, () => answer({ written: true }));
    for (const [at, each] of stalled.entries()) await budget.for(each, `eve ${at % 2}`)(1);

    await budget.for(answer(), 'bob')(40);

    expect(stalled.filter(({ closed }) => closed)).toHaveLength(90);
    expect(budget.held).toBe(100);
  });

  it('cuts the eldest answer that nobody reads when others wait, and none that is still coming', async () => {
    const budget = room({ tenure: 10 });
    const [coming, stalled, next] = [answer(), answer({ written: true }), answer()];
    await budget.for(coming, 'ann')(50);
    await budget.for(stalled, 'eve')(50);

    await budget.for(next, 'bob')(50);

    expect([coming.closed, stalled.closed]).toEqual([false, true]);
    expect(budget.held).toBe(100);
  });

  it('cuts one that does not come, too, when others have waited long', async () => {
    const budget = room({ coming: 30 });
    const [slow, small] = [answer(), answer()];
    await budget.for(slow, 'eve')(100);

    await budget.for(small, 'bob')(10);

    expect(slow.closed).toBe(true);
    expect(budget.held).toBe(10);
  });

  it('cuts nobody for a client that has used up its own share', async () => {
    const budget = room({ tenure: 10, share: 50, patience: 200 });
    const reader = answer({ written: true });
    await budget.for(reader, 'ann')(20);
    await budget.for(answer(), 'eve')(50);

    await expect(budget.for(answer(), 'eve')(10)).rejects.toMatchObject({ status: 503 });

    expect(reader.closed).toBe(false);
  });

  it('refuses with 503 what finds no room in time, and forgets who leaves', async () => {
    const budget = room({ patience: 20 });
    const [holder, late, leaving] = [answer(), answer(), answer()];
    await budget.for(holder, 'ann')(100);

    const waits = Promise.allSettled([budget.for(late, 'bob')(10), budget.for(leaving, 'eve')(10)]);
    leaving.destroy();

    const refused = { status: 'rejected', reason: expect.objectContaining({ status: 503 }) };
    expect(await waits).toEqual([refused, refused]);
    expect(budget.held).toBe(100);
    holder.destroy();
    expect(budget.held).toBe(0);
  });

  it('lets a single answer pass that is more than all there is', async () => {
    const budget = room();

    await budget.for(answer(), 'ann')(500);

    expect(budget.held).toBe(500);
  });
});
