import { formatCacheStatus, type CacheStatus } from './cache-status';

it.each<[string, CacheStatus]>([
  ['tidegate; hit', { hit: true }],
  ['tidegate; hit; detail="negative"', { hit: true, detail: 'negative' }],
  ['tidegate; fwd=miss', { hit: false, fwd: 'miss' }],
  ['tidegate; fwd=miss', { hit: false, fwd: 'miss', stored: false, collapsed: false }],
  ['tidegate; fwd=stale; fwd-status=200', { hit: false, fwd: 'stale', fwdStatus: 200 }],
  [
    'tidegate; fwd=miss; stored; collapsed',
    { hit: false, fwd: 'miss', stored: true, collapsed: true },
  ],
  [
    'tidegate; fwd=stale; detail="served stale"',
    { hit: false, fwd: 'stale', detail: 'served stale' },
  ],
])('says %s', (text, status) => {
  expect(formatCacheStatus(status)).toBe(text);
});
