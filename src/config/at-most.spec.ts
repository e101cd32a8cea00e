import { LRUCache } from 'lru-cache';
import { atMost } from './at-most';

describe('a cache of so many entries', () => {
  it('keeps those that were used last', () => {
    const cache = new LRUCache<string, number>(atMost(3));

    for (const [at, key] of ['a', 'b', 'c', 'd'].entries()) {
      cache.set(key, at);
      cache.get('a');
    }
    cache.set('a', 9);

    expect([...cache.entries()]).toEqual([
      ['a', 9],
      ['d', 3],
      ['c', 2],
    ]);
  });

  it('takes no memory for what is not there', () => {
    const before = process.memoryUsage().heapUsed;

    const caches = Array.from({ length: 100 }, () => new LRUCache(atMost(100_000)));

    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4 * 1024 * 1024);
    expect(caches).toHaveLength(100);
  });
});
