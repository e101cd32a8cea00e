// Puts contents of all sizes, several at once, for as long as it lives: node store-writer.mjs <folder of a store>.
// Each line of stdout is a content that begins to be put, or that the store has taken.
import { createHash, randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { DiskStore } from '../../dist/cdn/store/disk-store.js';

const WRITERS = 6;
const LARGEST = 4 * 1024 * 1024;
const CHUNK = 64 * 1024;

function say(phase, digest, size) {
  writeSync(1, `${JSON.stringify({ phase, digest, size })}\n`);
}

/** Each order of magnitude as often as the others. */
function anySize() {
  return Math.floor(LARGEST ** Math.random());
}

async function putOne(store) {
  const bytes = randomBytes(anySize());
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  say('begin', digest, bytes.length);
  const spool = await store.create();
  for (let at = 0; at < bytes.length; at += CHUNK) {
    await spool.append([bytes.subarray(at, at + CHUNK)]);
  }
  await store.put(digest, spool);
  spool.release();
  say('done', digest, bytes.length);
}

async function putForEver(store) {
  for (;;) await putOne(store);
}

const store = await DiskStore.open(process.argv[2]);
await Promise.all(Array.from({ length: WRITERS }, () => putForEver(store)));
