import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { noteSpent } from './spent-pieces';

/** What Node says of a collection. */
type PerformanceNodeEntry = PerformanceEntry & { readonly detail?: { readonly kind?: number } };

const KIB = 1024;
const MIB = 1024 * KIB;

/** What so many bytes in pieces cost: the most memory at once, and how often all objects were looked through. */
async function costOf(bytes: number, note: (bytes: number) => void) {
  let major = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as PerformanceNodeEntry[])
      if (entry.detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR) major += 1;
  });
  observer.observe({ entryTypes: ['gc'] });
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let done = 0; done < bytes; done += 64 * KIB) {
    note(Buffer.from(new Uint8Array(64 * KIB)).length);
    if (done % MIB === 0) await turn();
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  await turn();
  observer.disconnect();
  return { most, major };
}

describe('pieces of bodies that are spent', () => {
  it('are found among the young objects, before all are looked through', async () => {
    const { most, major } = await costOf(512 * MIB, noteSpent);

    expect(most).toBeLessThan(64 * MIB);
    expect(major).toBeLessThan(4);
  });
});
