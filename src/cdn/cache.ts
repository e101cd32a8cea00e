/** What holds content: opened before the gate listens, and closed after its last transfer. */
import { join } from 'node:path';
import type { CacheSettings, Settings } from '../config/settings';
import type { Log } from '../journal/log';
import { Capacity } from './room/capacity';
import { ClientRights } from './index/client-rights';
import type { ContentIndex } from './index/content-index';
import type { ContentStore } from './store/content-store';
import { DiskStore } from './store/disk-store';
import { Downloads } from './fetch/downloads';
import { ReadBuffers } from './body/read-buffers';
import { Reconciliation } from './store/reconciliation';
import type { Spools } from './store/spool';
import { SqliteIndex } from './index/sqlite-index';
import { Verification } from './store/verification';

/** The parts that hold content. */
export interface Cache {
  readonly settings: CacheSettings;
  readonly store: ContentStore;
  readonly spools: Spools;
  readonly index: ContentIndex;
  readonly capacity: Capacity;
  readonly verification: Verification;
  readonly downloads: Downloads;
  readonly buffers: ReadBuffers;
  /** Ends running fetches, writes what was gathered, and lets go of the folder. */
  close(): Promise<void>;
}

/** The injection token of the cache; null with CACHE=off. */
export const Cache = Symbol('Cache');

/**
 * Opens store and index, and checks in the background whether they agree: the gate serves at once.
 * @returns null with CACHE=off.
 * @throws Error that names the folder and the remedy.
 */
export async function openCache(
  { cache: settings, dataDir }: Pick<Settings, 'cache' | 'dataDir'>,
  log: Log,
): Promise<Cache | null> {
  if (!settings) return null;
  const store = await DiskStore.open(settings.dir);
  try {
    const index = await SqliteIndex.open(join(dataDir, 'index.sqlite'), log);
    return assembled(settings, store, new ClientRights(index), log);
  } catch (error) {
    await store.close();
    throw error;
  }
}

function assembled(
  settings: CacheSettings,
  store: DiskStore,
  index: ContentIndex,
  log: Log,
): Cache {
  const buffers = new ReadBuffers();
  const capacity = new Capacity(settings, store, index, log);
  const verification = new Verification(store, index, log);
  const downloads = new Downloads({ spools: store, store, capacity, buffers, log });
  const stopping = new AbortController();
  capacity.start();
  const reconciled = new Reconciliation(store, index, verification, log).run(stopping.signal);
  const close = async () => {
    stopping.abort();
    await downloads.close();
    await reconciled;
    await capacity.stop();
    await index.close();
    await store.close();
  };
  return {
    settings,
    store,
    spools: store,
    index,
    capacity,
    verification,
    downloads,
    buffers,
    close,
  };
}
