/** The settings that speak of the cache: what is held of what was pulled, where, how much and for how long. */
import { availableMemory } from './available-memory';
import { always, optional } from './setting';
import { duration, oneOf, path } from './setting-values';
import { bytes, space } from './size-values';

const SECOND = 1000;
const DAY = 24 * 3600 * SECOND;
const MEBIBYTE = 1024 ** 2;
const TEBIBYTE = 1024 ** 4;
/** Below this, somebody forgot the unit. */
const LEAST_SIZE = 1024;

export const cache = {
  CACHE: always({
    schema: oneOf('on', 'off'),
    default: 'on',
    meaning:
      '`on`: what was pulled once is held, and served from here to whoever may see it. `off`: everything is streamed, ' +
      'and nothing held; the other settings of the cache may then not be set.',
  }),
  CACHE_DIR: optional({
    schema: path,
    without: '`DATA_DIR/cache`',
    example: '/var/cache/tidegate',
    meaning:
      'Folder for the content that is held. It is made where there is none, must be writable, and be a folder of its own: ' +
      'what is in it can be fetched again, and may be deleted.',
  }),
  CACHE_MAX_SIZE: always({
    schema: space({ min: 1, max: 100 }, LEAST_SIZE),
    default: '80%',
    meaning:
      'How much may be held: bytes, or a share of what is free on the disk and what is held together. What was used ' +
      'longest ago is evicted first.',
  }),
  CACHE_MIN_FREE: always({
    schema: space({ min: 0, max: 99 }, 0),
    default: '5%',
    meaning:
      'How much is left free on the disk, whoever fills it: bytes, or a share of the whole disk.',
  }),
  CACHE_MAX_AGE: optional({
    schema: duration(SECOND, 3650 * DAY),
    without: 'no limit: only room decides',
    example: '30d',
    meaning: 'How long after its last use content is evicted, though there be room.',
  }),
  CACHE_TAG_TTL: always({
    schema: duration(0, 30 * DAY),
    default: '60s',
    meaning:
      'How long a tag is taken to lead where it led, before the registry is asked again. With 0 it is asked each time. ' +
      'A push or a deletion through the gate counts at once.',
  }),
  CACHE_MEMORY: optional({
    schema: bytes(0, TEBIBYTE),
    without: '`64MiB`, or an eighth of the memory that the gate may use, if that is less',
    example: '64MiB',
    meaning:
      'Memory for what is used often, in bytes: half of it for manifests, half for blobs of up to an eighth of that half. 0: none.',
  }),
};

/** The memory for content when none is set, in bytes. */
export function usualMemory(available: number = availableMemory()): number {
  return Math.min(64 * MEBIBYTE, Math.floor(available / 8));
}
