/** A gate that holds one image, and what must be seen of it when the upstream cannot be asked. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from './cached-stand';
import { sha256, type Answer } from './http';
import { manifestOf, ScriptedRegistry } from './scripted-registry';

export const LAYER = randomBytes(100_000);
export const MANIFEST = manifestOf([LAYER]);
export const TAG = '/v2/team/app/manifests/1';
export const BY_DIGEST = `/v2/team/app/manifests/${MANIFEST.digest}`;
export const BLOB = `/v2/team/app/blobs/${sha256(LAYER)}`;
export const NOT_HELD = `/v2/team/app/blobs/${sha256('never pulled')}`;
export const NO_TAG = '/v2/team/app/manifests/never-pulled';

/** A gate whose tags are asked for anew each time, and an image that it holds. */
export async function standWithImage(env: Record<string, string> = {}) {
  const upstream = await ScriptedRegistry.start();
  upstream.manifest('team/app', '1', MANIFEST);
  upstream.blob('team/app', LAYER);
  const stand = await CachedStand.open({ ...upstream.settings, CACHE_TAG_TTL: '0s', ...env });
  await stand.ask(TAG);
  for (const path of [BY_DIGEST, BLOB]) await stand.untilHit(path);
  upstream.server.requests.length = 0;
  return { upstream, stand };
}

/** The tag as last known, and said to be. */
export function expectStale(got: Answer): void {
  expect([got.status, got.body.equals(MANIFEST.bytes)]).toEqual([200, true]);
  expect(got.headers.warning).toMatch(/^299 - "stale: /);
  expect(got.headers['cache-status']).toMatch(/^tidegate; fwd=stale/);
}

/** All of the image is served as it is held, the tag with a warning. */
export async function expectHeld(stand: CachedStand): Promise<void> {
  const tag = await stand.ask(TAG);
  expectStale(tag);
  const head = await stand.ask(TAG, { method: 'HEAD' });
  expect([head.status, head.headers['docker-content-digest']]).toEqual([200, MANIFEST.digest]);
  expect(head.headers.warning).toMatch(/^299 /);
  for (const [path, bytes] of [[BY_DIGEST, MANIFEST.bytes] as const, [BLOB, LAYER] as const]) {
    const got = await stand.ask(path);
    expect([path, got.status, got.body.equals(bytes)]).toEqual([path, 200, true]);
    expect(got.headers['cache-status']).toBe('tidegate; hit');
    expect(got.headers.warning).toBeUndefined();
  }
}
