import { CacheCounters } from './cache-counters';

describe('counters of the cache', () => {
  it('have no ratio before the first request', () => {
    const { hitRatio, byteHitRatio, requests } = new CacheCounters().counts;

    expect([hitRatio, byteHitRatio, requests]).toEqual([undefined, undefined, 0]);
  });

  it('begin with the gate', () => {
    const before = Date.now();

    const since = new CacheCounters().counts.since.getTime();

    expect(since).toBeGreaterThanOrEqual(before);
    expect(since).toBeLessThanOrEqual(Date.now());
  });

  it('count hits and their bytes among what the cache could have answered', () => {
    const counters = new CacheCounters();

    counters.note({ hit: true }, 300);
    counters.note({ hit: false, fwd: 'miss', stored: true }, 50);
    counters.note({ hit: false, fwd: 'miss', collapsed: true }, 50);
    counters.note({ hit: false, fwd: 'stale' }, 0);
    counters.note({ hit: false, fwd: 'method' }, 1000);
    counters.note({ hit: false, fwd: 'bypass' }, 1000);

    expect(counters.counts).toMatchObject({
      requests: 4,
      hits: 1,
      collapsed: 1,
      bypassed: 2,
      bytes: 400,
      hitBytes: 300,
      hitRatio: 0.25,
      byteHitRatio: 0.75,
    });
  });
});
