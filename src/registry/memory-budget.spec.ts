import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { MemoryBudget } from './memory-budget';

/** What the budget needs of an answer: that it closes. */
function answer(): ServerResponse {
  const emitter = new EventEmitter() as EventEmitter & { closed: boolean; destroy(): void };
  emitter.closed = false;
  emitter.destroy = () => {
    emitter.closed = true;
    emitter.emit('close');
  };
  return emitter as unknown as ServerResponse;
}

describe('MemoryBudget', () => {
  it('gives room until an answer is closed, and no longer', async () => {
    const budget = new MemoryBudget({ total: 100 });
    const first = answer();

    await budget.for(first)(60);
    await budget.for(first)(30);
    expect(budget.held).toBe(90);
    first.destroy();

    expect(budget.held).toBe(0);
  });

  it('lets others wait, first come first served', async () => {
    const budget = new MemoryBudget({ total: 100 });
    const [first, second, third] = [answer(), answer(), answer()];
    const order: string[] = [];
    await budget.for(first)(80);

    const big = budget
      .for(second)(50)
      .then(() => order.push('big'));
    const small = budget
      .for(third)(10)
      .then(() => order.push('small'));
    first.destroy();
    await Promise.all([big, small]);

    expect(order).toEqual(['big', 'small']);
    expect(budget.held).toBe(60);
  });

  it('cuts the eldest holder when others wait for longer than its time', async () => {
    const budget = new MemoryBudget({ total: 100, tenure: 10 });
    const [stalled, next] = [answer(), answer()];
    await budget.for(stalled)(100);

    await budget.for(next)(50);

    expect(stalled.closed).toBe(true);
    expect(budget.held).toBe(50);
  });

  it('refuses with 503 what finds no room in time, and forgets who leaves', async () => {
    const budget = new MemoryBudget({ total: 100, patience: 20 });
    const [holder, late, leaving] = [answer(), answer(), answer()];
    await budget.for(holder)(100);

    const waits = Promise.allSettled([budget.for(late)(10), budget.for(leaving)(10)]);
    leaving.destroy();

    const refused = { status: 'rejected', reason: expect.objectContaining({ status: 503 }) };
    expect(await waits).toEqual([refused, refused]);
    expect(budget.held).toBe(100);
    holder.destroy();
    expect(budget.held).toBe(0);
  });

  it('lets a single answer pass that is more than all there is', async () => {
    const budget = new MemoryBudget({ total: 100 });
    const large = answer();

    await budget.for(large)(500);

    expect(budget.held).toBe(500);
  });
});
