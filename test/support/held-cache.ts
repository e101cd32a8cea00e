/** A real cache of a spec's own, with what stands right in front of it, and a way to its files. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { openCache, type Cache } from '../../src/cdn/cache';
import { HeldBlobs } from '../../src/cdn/held-blobs';
import { HotBlobs } from '../../src/cdn/hot-blobs';
import { SmallContent } from '../../src/cdn/small-content';
import type { Digest } from '../../src/oci/digest';
import { atTheEnd, freshFolder } from './lifecycle';

interface HeldCacheOptions {
  readonly memory?: number;
  readonly maxSize?: number;
}

export async function heldCache({ memory = 0, maxSize = 1_000_000_000 }: HeldCacheOptions = {}) {
  const dataDir = freshFolder('held-cache');
  const dir = join(dataDir, 'cache');
  const settings = {
    dir,
    maxSize: { bytes: maxSize },
    minFree: { bytes: 1 },
    tagTtl: 60_000,
    memory,
  };
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const cache = (await openCache({ cache: settings, dataDir }, log)) as Cache;
  atTheEnd(() => cache.close());
  const small = new SmallContent(cache, log);
  const hot = new HotBlobs(cache, small, log);
  const held = new HeldBlobs(cache, small, hot, log);
  const fileOf = (digest: Digest) => {
    const [algorithm = '', hex = ''] = digest.split(':');
    return join(dir, 'blobs', algorithm, hex.slice(0, 2), hex);
  };
  /** Files of what is on its way in, or was left there. */
  const spools = () => readdirSync(join(dir, 'spool'));
  return { cache, log, lines, small, hot, held, fileOf, spools };
}
