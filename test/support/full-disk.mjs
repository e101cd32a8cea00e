// A store on a small disk until it is full: node full-disk.mjs <folder of a store>. What it saw is one line of JSON.
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DiskStore } from '../../dist/cdn/store/disk-store.js';

const SIZE = 1024 * 1024;

async function putOne(store) {
  const bytes = randomBytes(SIZE);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const spool = await store.create();
  try {
    await spool.append([bytes]);
    await store.put(digest, spool);
    return { digest };
  } catch (error) {
    const into = Buffer.alloc(SIZE);
    const read = await spool.read(into, 0);
    const same = into.subarray(0, read).equals(bytes.subarray(0, read));
    await spool.discard();
    return { code: error.code, whole: spool.size, readable: same ? read : -1 };
  } finally {
    spool.release();
  }
}

const [folder] = process.argv.slice(2);
const store = await DiskStore.open(folder);
const before = await store.free();
const held = [];
let failure;
while (failure === undefined) {
  const { digest, ...rest } = await putOne(store);
  if (digest) held.push(digest);
  else failure = rest;
}
const left = readdirSync(join(folder, 'spool')).length;
const full = await store.free();
await store.delete(held[0]);
await store.close();
const again = await DiskStore.open(folder);
const { digest } = await putOne(again);
const listed = await again.list(undefined, 1000);
const seen = {
  before,
  full,
  held: held.length,
  failure,
  left,
  again: digest !== undefined,
  listed: listed.length,
};
writeSync(1, JSON.stringify(seen));
