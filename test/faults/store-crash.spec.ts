import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ContentStore, StoredEntry } from '../../src/cdn/store/content-store';
import { DiskStore } from '../../src/cdn/store/disk-store';
import { hasherFor, type Digest } from '../../src/oci/digest';
import { figure, lossOf, rounds } from '../support/figures';
import { atTheEnd, freshFolder } from '../support/lifecycle';
import { Service, succeed } from '../support/processes';
import { describeWith } from '../support/tools';

const ROUNDS = rounds(20);
/** Milliseconds after its first content after which a writer is killed, at the latest. */
const LATEST = 300;
const MIB = 1024 * 1024;
const support = (name: string) => join(__dirname, '../support', name);

interface Step {
  readonly phase: 'begin' | 'done';
  readonly digest: Digest;
  readonly size: number;
}

async function isWhole(store: ContentStore, { digest, size }: StoredEntry): Promise<boolean> {
  const content = await store.open(digest);
  if (!content) return false;
  const hash = hasherFor(digest);
  const into = Buffer.alloc(MIB);
  for (let count = 1; count > 0;) {
    count = await content.read(into);
    hash.update(into.subarray(0, count));
  }
  await content.close();
  return content.size === size && digest.endsWith(`:${hash.digest('hex')}`);
}

/** What a writer said before it was killed in the middle of a line. */
function stepsOf(stdout: string): Step[] {
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Step);
}

describe('the store of a gate that is killed', () => {
  it(`F16: holds nothing but whole contents after kill -9, ${ROUNDS} times`, async () => {
    const folder = join(freshFolder('crash'), 'cache');
    const spool = join(folder, 'spool');
    const seen = { tried: 0, survived: 0, acknowledged: 0, cutShort: 0 };
    atTheEnd(() => figure('F16', 'kill -9 of six writers of contents', lossOf(seen)));

    for (let round = 0; round < ROUNDS; round++) {
      const writer = new Service(process.execPath, [support('store-writer.mjs'), folder]);
      await writer.until('it has put one', () => writer.stdout.includes('"done"'));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * LATEST));
      await writer.stop('SIGKILL');
      seen.tried += 1;
      seen.cutShort += readdirSync(spool).length;
      const steps = stepsOf(writer.stdout);
      const done = steps.filter(({ phase }) => phase === 'done');
      seen.acknowledged += done.length;

      const store = await DiskStore.open(folder);
      const listed = await store.list(undefined, 100_000);

      expect(writer.stderr).toBe('');
      expect(readdirSync(spool)).toEqual([]);
      const sizes = new Map(listed.map(({ digest, size }) => [digest, size]));
      const lost = done.filter(({ digest, size }) => sizes.get(digest) !== size);
      expect(lost).toEqual([]);
      const begun = new Set(steps.map(({ digest }) => digest));
      for (const entry of listed) {
        expect([entry, await isWhole(store, entry)]).toEqual([entry, true]);
        expect(begun).toContain(entry.digest);
        await store.delete(entry.digest);
      }
      await store.close();
      seen.survived += 1;
    }

    // Else nothing was tried.
    expect(seen.acknowledged).toBeGreaterThan(ROUNDS);
    expect(seen.cutShort).toBeGreaterThan(0);
  }, 1_800_000);
});

interface FullDisk {
  readonly before: { free: number; total: number };
  readonly full: { free: number; total: number };
  readonly held: number;
  readonly failure: { code: string; whole: number; readable: number };
  readonly left: number;
  readonly again: boolean;
  readonly listed: number;
}

describeWith(['unshare'], 'a store on a disk that is full', () => {
  it('F19: says so, keeps what is whole, leaves nothing else, and takes content again once there is room', async () => {
    const folder = freshFolder('full');
    const script = 'mount -t tmpfs -o size=5500k,mode=700 tmpfs "$0" && exec "$@"';
    const program = [process.execPath, support('full-disk.mjs'), folder];

    const stdout = await succeed('unshare', ['--mount', 'sh', '-c', script, folder, ...program]);

    const seen = JSON.parse(stdout) as FullDisk;
    expect(seen.failure.code).toBe('ENOSPC');
    // The part that was written counts, and is there for those who read already.
    expect(seen.failure.whole).toBeGreaterThan(0);
    expect(seen.failure.whole).toBeLessThan(MIB);
    expect(seen.failure.readable).toBe(seen.failure.whole);
    expect(seen.left).toBe(0);
    expect(seen.before.total).toBe(5500 * 1024);
    expect(seen.before.free).toBeGreaterThan(5 * MIB);
    expect(seen.full.free).toBeLessThan(MIB);
    expect(seen).toMatchObject({ held: 5, again: true, listed: 5 });
  });
});
